"""The control plane: keys, approvals, pauses and the log of who changed what.

It lives in a relational database of its own (``TACHO_CONTROL_DB``), which the collector alone touches; the SDK, the
command line and the dashboard ask over HTTP.
"""
