"""The write-ahead log: what makes an acknowledgement true.

Pattern: bodies are framed, checksummed and appended to preallocated segment files by one thread, which takes
everything that waits, writes it at once, calls ``fdatasync`` once and only then wakes the waiters (group
commit). The loader reads behind the writer; a checkpoint says up to where the engine holds the data for
good, and segments behind it are deleted after a grace time.

Accepted trade-offs: a record that was written but whose sync failed may still be found after a restart. It
was never acknowledged, and storing it is harmless because spans are kept once by id. One disk: the log
survives crashes and power cuts, not the loss of that disk.

Damage: what cannot be read is copied or moved into ``damaged/`` beside the segments, counted and said once; every
sound record around it is read. See docs/durability.md for what is promised and how it is tested.

Scope: this package knows nothing of OTLP or ClickHouse. :mod:`.records` is the format, :mod:`.segments` and
:mod:`.active` the files, :mod:`.scan` what is found at a start, :mod:`.log` the writer and reader, :mod:`.checkpoint`
the mark, :mod:`.damage` what could not be read.
"""

from tachograph_collector.wal.log import Log, LogFullError
from tachograph_collector.wal.records import Record

__all__ = ["Log", "LogFullError", "Record"]
