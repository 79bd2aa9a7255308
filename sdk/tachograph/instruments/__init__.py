"""Instruments: each module wraps one official client, by its ``install()``.

``tachograph.instrument("anthropic")`` imports the module of that name and calls it. An instrument imports
its client, so it is imported only when asked for.
"""
