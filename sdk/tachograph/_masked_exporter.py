"""Masks what goes to other backends. Imports the OpenTelemetry SDK: load it in :func:`tachograph.masked` only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, Status

from tachograph import _masks
from tachograph._guard import guarded
from tachograph_schemas import names

if TYPE_CHECKING:
    from tachograph._redact import Redactor


class MaskedExporter(SpanExporter):
    """Gives ``exporter`` masked copies. The spans themselves stay as they are, for other exporters."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Mask, and export. A span that cannot be masked is left out, and logged."""
        copies: list[ReadableSpan] = []
        with guarded("masking spans for another exporter"):
            # Asked each time: the exporter is mostly made before ``tacho.init`` says the rules.
            masking = _Masking(_masks.lasting_redactor())
            for span in spans:
                with guarded("masking a span for another exporter"):
                    copies.append(masking.span(span))
        if spans and not copies:
            return SpanExportResult.FAILURE
        return self._exporter.export(copies)

    def shutdown(self) -> None:
        """That of the exporter."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """That of the exporter. Blocks for ``timeout_millis`` at most, if that does."""
        return self._exporter.force_flush(timeout_millis)


class _Copy(ReadableSpan):
    """A masked span; what was dropped before is still counted."""

    of: ReadableSpan

    @property
    def dropped_events(self) -> int:
        return self.of.dropped_events

    @property
    def dropped_links(self) -> int:
        return self.of.dropped_links


class _Masking:
    """Of one batch."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._count = 0
        self._resources: dict[int, Resource] = {}
        """Masked, by the id of what they are copies of: the spans of a batch share them."""

    def span(self, span: ReadableSpan) -> ReadableSpan:
        """A copy without secrets; the same keys name the fields as on the way to Tachograph's collector."""
        self._count = 0
        attributes = self._attributes(span.attributes, span.dropped_attributes)
        events = [
            Event(
                self._text("event", each.name),
                self._attributes(each.attributes, each.dropped_attributes),
                each.timestamp,
            )
            for each in span.events
        ]
        links = [
            Link(each.context, self._attributes(each.attributes, each.dropped_attributes))
            for each in span.links
        ]
        said = span.status.description
        status = Status(span.status.status_code, said and self._text("status", said))
        name = self._text("name", span.name)
        if self._count:
            counted = {**attributes, names.REDACTED_COUNT: self._count}
            attributes = _bounded(counted, span.dropped_attributes)
        copy = _Copy(
            name,
            context=span.context,
            parent=span.parent,
            resource=self._resource(span.resource),
            attributes=attributes,
            events=events,
            links=links,
            kind=span.kind,
            status=status,
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=self._scope(span.instrumentation_scope),
        )
        copy.of = span
        return copy

    def _scope(self, scope: InstrumentationScope | None) -> InstrumentationScope | None:
        if scope is None or not scope.attributes:
            return scope
        attributes = self._attributes(scope.attributes)
        return InstrumentationScope(scope.name, scope.version, scope.schema_url, attributes)

    def _resource(self, resource: Resource) -> Resource:
        found = self._resources.get(id(resource))
        if found is None:
            found = Resource(self._attributes(resource.attributes), resource.schema_url)
            self._resources[id(resource)] = found
        return found

    def _attributes(self, given: Mapping[str, Any] | None, dropped: int = 0) -> BoundedAttributes:
        masked = {key: self._value(key, value) for key, value in (given or {}).items()}
        return _bounded(masked, dropped)

    def _value(self, key: str, value: Any) -> Any:
        if isinstance(value, str):
            return self._text(key, value)
        if isinstance(value, bytes):
            return self._text(key, value.decode("latin-1")).encode("latin-1", "replace")
        if isinstance(value, Mapping):
            return {name: self._value(f"{key}.{name}", each) for name, each in value.items()}
        if isinstance(value, Sequence):
            return [self._value(key, each) for each in value]
        return value

    def _text(self, key: str, text: str) -> str:
        masked, count = self._redactor.redact(key, text)
        self._count += count
        return masked


def _bounded(attributes: dict[str, Any], dropped: int) -> BoundedAttributes:
    """As a span has them, with the number of those that it could not take."""
    copy = BoundedAttributes(attributes=attributes)
    copy.dropped = dropped
    return copy
