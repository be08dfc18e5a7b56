"""OTLP/JSON to protobuf: what msgspec decodes, filled into messages by tables.

Differs from `google.protobuf.json_format`, which reads ids as base64 and fails a request for one bad value: here a span or
log record that cannot be read costs itself, a resource or scope that cannot be read costs those below it.

What is not written as OTLP says, and what becomes of it:

==========================================================  ==============================================================
null                                                        as if the key were not there
unknown keys                                                ignored; snake_case spellings of known ones are pointed out
intValue outside 64 bits or with a fraction (`1e+21`)       doubleValue: nearer to what was meant than the largest integer
intValue that is other text                                 stringValue, pointed out
times that are no numbers                                   left out, pointed out
times and counts out of range                               the nearest possible value
lone surrogates, invalid UTF-8                              U+FFFD, counted
==========================================================  ==============================================================
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from openfuse_collector.pdata.decoded import Decoded
from openfuse_collector.pdata.dense import check_groups, check_items, check_json
from openfuse_collector.pdata.errors import BadDataError
from openfuse_collector.pdata.forms import TRACES, Form
from openfuse_collector.pdata.json_fill import Notes, UnreadableError, fill, hint_at_case
from openfuse_collector.pdata.json_tables import TABLES
from openfuse_collector.pdata.json_text import parse_json
from openfuse_collector.pdata.misrouted import misrouted_json


def decode(body: bytes, form: Form) -> Decoded:
    """The export in `body`; an empty body or `null` is an empty export. Raises BadDataError, TooManyError."""
    export, repaired = _parsed(body)
    if export is None:
        return Decoded(form.request(), b"")
    if not isinstance(export, dict):
        raise BadDataError(f"the body is no OTLP/JSON {form.export}: it is not an object")
    if hint := misrouted_json(export, form):
        raise BadDataError(hint)
    decoding = _Decoding(export, form)
    return Decoded(decoding.request, None, decoding.rejected, repaired, decoding.notes)


def decode_traces(body: bytes) -> Decoded:
    """`decode` for traces."""
    return decode(body, TRACES)


def _parsed(body: bytes) -> tuple[Any, int]:
    if not body:
        return None, 0
    check_json(body)
    try:
        return parse_json(body)
    except (ValueError, RecursionError) as error:
        raise BadDataError(f"the body is not valid JSON: {error}") from error


class _Decoding:
    """One walk over an export: the message, and what was left out of it."""

    def __init__(self, export: dict[str, Any], form: Form) -> None:
        self.request = form.request()
        self.rejected: Counter[str] = Counter()
        self.notes: Notes = Counter()
        self._groups = 0
        self._items = 0
        self._form = form
        self._tables = TABLES[form.signal]
        for key in export:
            hint_at_case(self.notes, key, (form.json.resources,))
        resources = getattr(self.request, form.protobuf.resources)
        for source in self._objects(export, form.json.resources):
            self._resource(resources.add(), source, self._objects(source, form.json.scopes))

    def _resource(self, made: Any, source: dict[str, Any], scopes: list[dict[str, Any]]) -> None:
        self._groups += 1 + len(scopes)
        check_groups(self._groups)
        try:
            fill(self.notes, made, source, self._tables.resources)
        except UnreadableError as error:
            made.Clear()
            self.rejected[str(error)] += sum(len(self._list(scope, self._form.json.items)) for scope in scopes)
            return
        into = getattr(made, self._form.protobuf.scopes)
        for scope in scopes:
            self._scope(into.add(), scope, self._list(scope, self._form.json.items))

    def _scope(self, made: Any, source: dict[str, Any], items: list[Any]) -> None:
        try:
            fill(self.notes, made, source, self._tables.scopes)
        except UnreadableError as error:
            made.Clear()
            self.rejected[str(error)] += len(items)
            return
        self._items += len(items)
        check_items(self._items, self._form)
        into = getattr(made, self._form.protobuf.items)
        add, notes, table = into.add, self.notes, self._tables.item
        for item in items:
            try:
                fill(notes, add(), item, table)
            except UnreadableError as error:
                self.rejected[str(error)] += 1
                del into[-1]

    def _list(self, source: dict[str, Any], key: str) -> list[Any]:
        """A list above items: where there is something else, nobody can say how many were meant."""
        value = source.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise BadDataError(f"the body is no OTLP/JSON {self._form.export}: {key} is not a list")
        return value

    def _objects(self, source: dict[str, Any], key: str) -> list[dict[str, Any]]:
        """A list of objects; nulls are left out."""
        found = [element for element in self._list(source, key) if element is not None]
        if not all(isinstance(element, dict) for element in found):
            raise BadDataError(f"the body is no OTLP/JSON {self._form.export}: {key} does not hold objects")
        return found
