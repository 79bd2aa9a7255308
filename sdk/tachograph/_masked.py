"""``masked``: what goes to other backends is masked as what goes to Tachograph."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter


def masked(exporter: SpanExporter) -> SpanExporter:
    """Wrap an exporter of the application's own, so that it gets spans, ours and others', with secrets masked.

    By the rules of ``tacho.init``, which may be called later, and still after ``tacho.shutdown``; where it is not called,
    by those of the environment and ``tacho.toml``. Masking happens where the exporter is called, mostly on the thread of a
    ``BatchSpanProcessor``. It never raises; what ``exporter`` itself raises is passed on.
    """
    from tachograph._masked_exporter import MaskedExporter

    return MaskedExporter(exporter)
