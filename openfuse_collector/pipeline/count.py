"""How many spans, log records or events an item holds."""

from __future__ import annotations

from openfuse_collector.signals import Item, Signal


def count_items(item: Item) -> int:
    """Spans, log records or events of one request."""
    data = item.data
    if isinstance(data, list):
        return len(data)
    if item.origin.signal is Signal.TRACES:
        return sum(len(scope.spans) for resource in data.resource_spans for scope in resource.scope_spans)
    if item.origin.signal is Signal.LOGS:
        return sum(len(scope.log_records) for resource in data.resource_logs for scope in resource.scope_logs)
    return 1
