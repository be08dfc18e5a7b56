"""Bodies that would become many times their size are counted before they are decoded, and what is ordinary is not refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from openfuse_collector.pdata import dense, otlp_json, otlp_protobuf
from openfuse_collector.pdata.decoded import Decode
from openfuse_collector.pdata.dense import MODEST, MOST_GROUPS, MOST_ITEMS, MOST_VALUES, SMALL
from openfuse_collector.pdata.errors import BadDataError, TooManyError
from openfuse_collector.pdata.exports import read_export
from openfuse_collector.pdata.forms import LOGS, TRACES, Form
from openfuse_collector.pdata.wire import framed

SPAN = framed(1, b"\x01" * 16) + framed(2, b"\x02" * 8)
ATTRIBUTE, EMPTY = framed(9, b""), framed(2, b"")
MANY = 20_000


def export(*items: bytes) -> bytes:
    return framed(1, framed(2, b"".join(items)))


def json_export(item: str, count: int, form: Form) -> bytes:
    resources, scopes, items = form.json
    return f'{{"{resources}":[{{"{scopes}":[{{"{items}":[{",".join([item] * count)}]}}]}}]}}'.encode()


@pytest.mark.parametrize("form", [TRACES, LOGS], ids=lambda form: form.noun)
@pytest.mark.parametrize(
    "make, decode",
    [
        (lambda form: export(EMPTY * (MOST_ITEMS + 1)), otlp_protobuf.decode_sound),
        (lambda form: export(framed(2, SPAN) * (MOST_ITEMS + 1)), otlp_protobuf.decode),
        (lambda form: export(*[EMPTY * 2] * MOST_ITEMS), otlp_protobuf.decode),
        (lambda form: json_export("{}", MOST_ITEMS + 1, form), otlp_json.decode),
    ],
    ids=["on the event loop", "large", "not decoded", "JSON"],
)
def test_too_many_items(make: Callable[[Form], bytes], decode: Decode, form: Form) -> None:
    with pytest.raises(TooManyError, match=f"more than 100,000 {form.noun}"):
        read_export(make(form), form, decode)


def json_groups(count: int, form: Form) -> bytes:
    resources, scopes, _ = form.json
    return f'{{"{resources}":[{",".join(["{}"] * (count // 2 - 1))},{{"{scopes}":[{",".join(["{}"] * (count - count // 2))}]}}]}}'.encode()


@pytest.mark.parametrize("form", [TRACES, LOGS], ids=lambda form: form.noun)
@pytest.mark.parametrize(
    "make, decode",
    [
        (lambda count, form: framed(1, b"") * count, otlp_protobuf.decode_sound),
        (lambda count, form: framed(1, EMPTY * (count - 1)), otlp_protobuf.decode_sound),
        (lambda count, form: framed(1, EMPTY * (count - 1)) + b"\xca\x07" + framed(1, bytes(SMALL))[1:], otlp_protobuf.decode),
        (json_groups, otlp_json.decode),
    ],
    ids=["resources", "scopes", "large", "JSON"],
)  # fmt: skip
def test_too_many_groups(make: Callable[[int, Form], bytes], decode: Decode, form: Form) -> None:
    assert read_export(make(MOST_GROUPS, form), form, decode).items == 0
    with pytest.raises(TooManyError, match="more than 100,000 resources and scopes"):
        read_export(make(MOST_GROUPS + 1, form), form, decode)


def test_as_many_as_may_be() -> None:
    body = export(framed(2, SPAN) * MOST_ITEMS)
    assert len(body) > SMALL
    assert read_export(body, TRACES, otlp_protobuf.decode).items == MOST_ITEMS


@pytest.mark.parametrize(
    "fields",
    [
        ATTRIBUTE * MANY,
        framed(9, framed(2, framed(5, framed(1, b"") * MANY))),
        framed(9, framed(2, framed(6, framed(1, framed(2, b"")) * (MANY // 2)))),
        framed(11, framed(3, framed(2, b"")) * (MANY // 2)),
        b"\xca\x00\x80\x00" * MANY,
    ],
    ids=["attributes", "values of an array", "entries of a map", "attributes of an event", "padded numbers"],
)
@pytest.mark.usefixtures("low_bounds")
def test_too_many_fields(fields: bytes) -> None:
    body = export(framed(2, SPAN + fields))
    with pytest.raises(TooManyError, match="more than 20,000 fields"):
        otlp_protobuf.decode(body, TRACES)


@pytest.fixture
def low_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a body of kilobytes has too many fields."""
    for name, value in {"SMALL": 0, "MODEST": 0, "MOST_FIELDS": MANY}.items():
        monkeypatch.setattr(dense, name, value)


def test_what_is_refused_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unused:
        DESCRIPTOR = TRACES.request.DESCRIPTOR

    with pytest.raises(TooManyError):
        otlp_protobuf.decode(export(EMPTY * SMALL), TRACES._replace(request=Unused))
    monkeypatch.setattr(otlp_json, "parse_json", lambda body: pytest.fail("parsed"))
    with pytest.raises(TooManyError, match="8,000,000 JSON values"):
        otlp_json.decode(b'{"resourceSpans":[' + b"{}," * MOST_VALUES + b"{}]}", TRACES)


@pytest.mark.usefixtures("low_bounds")
def test_a_group_hides_nothing() -> None:
    """Parsers pass over groups, which protobuf gave up long ago; a walk that stopped at one would miss what is behind it."""
    body = export(framed(2, SPAN + b"\xa3\x06\xa4\x06" + ATTRIBUTE * MANY))
    with pytest.raises(BadDataError, match="wire type 3"):
        otlp_protobuf.decode(body, TRACES)


def test_text_is_not_counted() -> None:
    text = '[{,\\"' * (MOST_VALUES // 4)
    item = f'{{"traceId":"{1:032x}","spanId":"{2:016x}","name":"{text}"}}'
    made = read_export(json_export(item, 1, TRACES), TRACES, otlp_json.decode)
    assert made.items == 1
    assert made.request.resource_spans[0].scope_spans[0].spans[0].name == text.replace("\\", "")


def test_an_ordinary_large_request_is_walked_and_taken() -> None:
    attribute = framed(9, framed(1, b"gen_ai.input.messages") + framed(2, framed(1, b"x" * 400)))
    body = export(framed(2, SPAN + attribute * 5) * 10_000)
    assert len(body) > MODEST
    assert read_export(body, TRACES, otlp_protobuf.decode).items == 10_000


def test_small_bodies_are_not_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dense, "lengths", lambda *_: pytest.fail("walked"))
    dense.check_protobuf(export(framed(2, SPAN) * 100), TRACES)
