"""OTLP protobuf bytes to a message; what a strict parser refuses is repaired where that is possible."""

from __future__ import annotations

from google.protobuf.message import DecodeError

from openfuse_collector.pdata.decoded import Decoded, NeedsRepairError
from openfuse_collector.pdata.dense import check_protobuf
from openfuse_collector.pdata.errors import BadDataError
from openfuse_collector.pdata.forms import TRACES, Form
from openfuse_collector.pdata.misrouted import misrouted_protobuf
from openfuse_collector.pdata.utf8 import repair
from openfuse_collector.pdata.wire import WireError

TOO_DEEP = "values are nested too deep"


def decode(body: bytes, form: Form) -> Decoded:
    """The export in `body`. Raises BadDataError where it is malformed, truncated or another signal, TooManyError."""
    try:
        check_protobuf(body, form)
        try:
            return Decoded(form.request.FromString(body), body)
        except DecodeError:
            return _repaired(body, form)
    except (WireError, DecodeError) as error:
        hint = misrouted_protobuf(body, form)
        raise BadDataError(hint or f"the body is no OTLP protobuf {form.export}: {error}") from error


def decode_sound(body: bytes, form: Form) -> Decoded:
    """`decode` for what needs no repair. Raises NeedsRepairError, also where repair is impossible."""
    try:
        return Decoded(form.request.FromString(body), body)
    except DecodeError as error:
        raise NeedsRepairError from error


def decode_traces(body: bytes) -> Decoded:
    """`decode` for traces."""
    return decode(body, TRACES)


def _repaired(body: bytes, form: Form) -> Decoded:
    """Raises WireError, DecodeError where that is impossible."""
    fixed = repair(body, form.request)
    request = form.request.FromString(fixed.body)
    rejected = {TOO_DEEP: fixed.too_deep} if fixed.too_deep else {}
    return Decoded(request, fixed.body, rejected, fixed.strings)
