"""Attribute values beyond `max_attribute_value_bytes`: cut before they are mapped, with a marker, and said so on their span.

Resources and scopes have a bound of their own: they are stored with each of their spans, so that a request takes the product of the two.
The journal and what other pipelines get hold them whole. Pure: the request given is not written to.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue

NOTE = "openfuse.truncated"
"""Attribute of a span or log record that lists what was cut of it or of what it lies in: `key: bytes`."""

SHARED = 16 * 1024
"""Bytes of attributes a resource keeps, and a scope: the shorter ones, as many as fit. Real ones take one or two KiB, but for command
lines of Java."""
TOGETHER = 64 * 1024 * 1024
"""Bytes that come of it when a resource is stored with every span of a request, and so for a scope."""
LEAST = 1024
"""Bytes of attributes that a resource keeps, and a scope, however many spans there are."""
_LONGEST_NAME = 1000


def without_long_values(request: Any, limit: int) -> tuple[Any, list[str]]:
    """The traces or logs request with no value beyond `limit` bytes (and a marker), and what was cut, as `key: bytes`.

    A `limit` of 0 bounds resources and scopes only. The request itself comes back when there is nothing to cut.
    """
    if limit and not any(_is_long(value, limit) for _, value in _values(request)):
        limit = 0
    room = _room(request)
    if not limit and not any(shared.ByteSize() > room for shared in _shared(request)):
        return request, []
    made = type(request)()
    made.CopyFrom(request)
    cut: list[str] = []
    for group in _groups(made):
        around = _bounded(group.resource, room) + _cut(_attributes(group.resource), limit)
        for scope in _scopes(group):
            here = around + _bounded(scope.scope, room) + _cut(_attributes(scope.scope), limit)
            cut += here
            for item in _items(scope):
                own = _cut(_of_item(item), limit)
                cut += own
                if here + own:
                    note = item.attributes.add(key=NOTE).value.array_value.values
                    note.extend(AnyValue(string_value=what) for what in here + own)
    return made, cut


def shorten(value: AnyValue, limit: int) -> None:
    """Cut a value to about `limit` bytes: text and bytes at their end, lists and maps after the last element that fits."""
    kind = value.WhichOneof("value")
    if kind == "string_value":
        text = value.string_value.encode()
        if len(text) > limit:
            value.string_value = text[:limit].decode(errors="ignore") + _marker(limit, len(text))
    elif kind == "bytes_value":
        value.bytes_value = value.bytes_value[:limit]
    elif kind == "array_value":
        _shorten_all(value.array_value.values, lambda item: item, limit)
    elif kind == "kvlist_value":
        _shorten_all(value.kvlist_value.values, lambda item: item.value, limit)


def _shorten_all(items: Any, value_of: Any, limit: int) -> None:
    for at, item in enumerate(items):
        size = item.ByteSize() + 2  # its own tag and length
        if size > limit:
            shorten(value_of(item), limit)
            del items[at + 1 :]
            return
        limit -= size


def _marker(kept: int, size: int) -> str:
    return f"… [truncated: {kept} of {size} bytes kept]"


def _is_long(value: AnyValue, limit: int) -> bool:
    return bool(value.ByteSize() > limit + 16)  # what surrounds the value in its message


def _room(request: Any) -> int:
    """Bytes of attributes that each resource and each scope of a request may keep."""
    items = sum(len(_items(scope)) for group in _groups(request) for scope in _scopes(group))
    return max(LEAST, min(SHARED, TOGETHER // max(1, items)))


def _bounded(shared: Any, room: int) -> list[str]:
    """Bound a resource or scope; what was cut."""
    size = shared.ByteSize()
    if size <= room:
        return []
    for field in ("name", "version") if hasattr(shared, "version") else ():
        setattr(shared, field, getattr(shared, field)[:_LONGEST_NAME])
    pairs = shared.attributes
    sizes = [pair.ByteSize() for pair in pairs]
    by_size = sorted(range(len(sizes)), key=sizes.__getitem__)
    fit = bisect_right(list(accumulate(sizes[place] for place in by_size)), room)
    left_out = ", ".join(pairs[place].key[:200] for place in by_size[fit:][-3:])
    pairs.extend([pairs[place] for place in sorted(by_size[:fit])])
    del pairs[: len(sizes)]
    kept = shared.ByteSize()
    if kept == size:
        return []
    return [f"{type(shared).__name__}: {size} bytes, {kept} kept; without {left_out or 'all of its name'}"]


def _cut(values: Iterator[tuple[str, AnyValue]], limit: int) -> list[str]:
    found: list[str] = []
    for key, value in values if limit else ():
        if _is_long(value, limit):
            found.append(f"{key[:200]}: {value.ByteSize()} bytes")
            shorten(value, limit)
    return found


def _shared(request: Any) -> Iterator[Any]:
    for group in _groups(request):
        yield group.resource
        for scope in _scopes(group):
            yield scope.scope


def _values(request: Any) -> Iterator[tuple[str, AnyValue]]:
    for group in _groups(request):
        yield from _attributes(group.resource)
        for scope in _scopes(group):
            yield from _attributes(scope.scope)
            for item in _items(scope):
                yield from _of_item(item)


def _of_item(item: Any) -> Iterator[tuple[str, AnyValue]]:
    """Of a span its attributes and those of its events and links, of a log record its attributes and its body."""
    yield from _attributes(item)
    for part in (*getattr(item, "events", ()), *getattr(item, "links", ())):
        yield from _attributes(part)
    if hasattr(item, "body"):
        yield "body", item.body


def _attributes(owner: Any) -> Iterator[tuple[str, AnyValue]]:
    return ((pair.key, pair.value) for pair in owner.attributes)


def _groups(request: Any) -> Any:
    return request.resource_spans if hasattr(request, "resource_spans") else request.resource_logs


def _scopes(group: Any) -> Any:
    return group.scope_spans if hasattr(group, "scope_spans") else group.scope_logs


def _items(scope: Any) -> Any:
    return scope.spans if hasattr(scope, "spans") else scope.log_records
