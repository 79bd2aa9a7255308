"""The peers measured beside us, in one run on one machine: ratios between rows hold, absolute figures do not travel.

``python -m tests.benchmarks peers`` (servers) and ``peers-sdk`` (what decorated calls cost). Each peer is installed from
the package index with pinned versions into an environment of its own; everything else is loopback and empty
temporary directories, removed afterwards.
"""
