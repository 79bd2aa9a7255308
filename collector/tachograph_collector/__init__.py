"""The collector: OTLP in, ClickHouse tables out, nothing acknowledged that is not on disk.

Read in this order: :mod:`.intake` takes a body, :mod:`.canonical` checks it, :mod:`.wal` makes it durable,
:mod:`.loader` stores it exactly once, :mod:`.gateway` lets others read it; :mod:`.app` and :mod:`.server`
put them together.
"""
