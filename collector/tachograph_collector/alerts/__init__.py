"""Alerts: rules over figures, a state for each rule and group, and notifications that leave once per change.

Everything that must not be lost or doubled is a row of the control database (``docs/decisions/0020-alerts.md``).
"""
