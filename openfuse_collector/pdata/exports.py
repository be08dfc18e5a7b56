"""A request body to spans or log records that can be stored: decode, check, and count everything that was changed on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from openfuse_collector.pdata.decoded import Decode
from openfuse_collector.pdata.dense import check_groups, check_items
from openfuse_collector.pdata.errors import BadDataError
from openfuse_collector.pdata.faults import describe_rejected, reject_faulty
from openfuse_collector.pdata.forms import Form
from openfuse_collector.pdata.misrouted import misrouted_protobuf


class Export(NamedTuple):
    """A checked export."""

    form: Form
    request: Any
    """ExportTraceServiceRequest or ExportLogsServiceRequest; items with proper ids only."""
    payload: bytes
    """The same as protobuf: the bytes as received when nothing had to be changed."""
    items: int
    """Spans or log records."""
    rejected: Mapping[str, int]
    """Reason -> items left out."""
    repaired: int
    """Strings in which invalid Unicode was replaced."""
    notes: Mapping[str, int]

    @property
    def refused(self) -> int:
        """Items left out, over all reasons."""
        return sum(self.rejected.values())

    @property
    def message(self) -> str:
        """What to tell the sender in partial_success; empty when all went well."""
        notes = [f"{note} ({count} times)" if count > 1 else note for note, count in self.notes.items()]
        if self.rejected:
            notes.insert(0, describe_rejected(self.rejected, self.items + self.refused, self.form.noun))
        return "; ".join(notes)


def read_export(body: bytes, form: Form, decode: Decode) -> Export:
    """Decode and check. Raises BadDataError, TooManyError."""
    request, payload, undecodable, repaired, notes = decode(body, form)
    _check_size(request, form)
    items, rejected = reject_faulty(form.groups(request), form.fault)
    if rejected:
        if not items and payload is not None and (hint := misrouted_protobuf(body, form)):
            raise BadDataError(hint)
        payload = None
    if undecodable:
        rejected = Counter(undecodable) + rejected
    if payload is None:
        payload = request.SerializeToString()
    return Export(form, request, payload, items, rejected, repaired, notes)


def _check_size(request: Any, form: Form) -> None:
    """A body that was too small to be looked at may still hold more than should be gone over. Raises TooManyError."""
    resources = getattr(request, form.protobuf.resources)
    check_groups(len(resources))
    check_groups(len(resources) + sum(len(getattr(resource, form.protobuf.scopes)) for resource in resources))
    check_items(sum(map(len, form.groups(request))), form)
