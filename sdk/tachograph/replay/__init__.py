"""Deterministic replay: runs are recorded as they happen, and driven again offline.

Light at import: nothing here is loaded by ``import tachograph`` itself. docs/replay.md is the guide.
"""
