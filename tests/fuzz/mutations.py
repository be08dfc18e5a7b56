"""How requests are damaged: as messages (what a broken instrumentation sends), as JSON, and as bytes (what a broken wire does)."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from openfuse_collector.pdata.forms import Form

LONGEST = 10_000

TEXTS = (
    *("", " ", "null", "true", "0", "-1", "1e400", "NaN", "[]", "{}", "[1", '{"a":', '"quoted"', "\0", "a\0b", "\r\n"),
    *("9" * 400, "1_000", "٣", "😀", "\u202e", "[" * 5000, '{"a":' * 2000, "2026-13-45T99:99:99Z", "0001-01-01"),
    *('{"input":-1,"output":1.5,"total":null}', '{"prompt_tokens":1,"completion_tokens":2,"total_tokens":{}}'),
    *('[{"role":"assistant","parts":[{"type":"tool_call"}]}]', '{"tools":[{"name":1},null]}', "\\ud800", '"\\ud83d"'),
    *('{"name":"x","version":"1.5"}', "langfuse-llm-as-a-judge", "GENERATION", '" LLM "', "default,,x", '["a", 1]'),
)
INTEGERS = (0, 1, -1, 2**31, 2**53 + 1, 2**63 - 1, -(2**63), 10**18)
FLOATS = (0.0, -0.0, 0.5, 1e308, 5e-324, 2.0**53, 1e22, -1.5, float("nan"), float("inf"), float("-inf"))
TIMES = (0, 1, 999, 10**9, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 1_795_000_000_000_000_000)
IDS = (b"", b"\0" * 16, b"\0" * 8, b"\xff" * 16, b"short", b"x" * 40)
INFIXES = ("0", "99999999", "0.message.tool_calls.0", "__proto__", "0.0.0", "-1", "x" * 60, "")
SPAN_KINDS = ("exception", "gen_ai.choice", "gen_ai.user.message", "gen_ai.content.prompt", "")

Rng = random.Random


def value(rng: Rng, depth: int = 0) -> AnyValue:
    """Some value of any kind, nested at most a little, now and then very deeply."""
    made = AnyValue()
    kind = rng.randrange(9 if depth < 4 else 6)
    if kind <= 1:
        made.string_value = rng.choice(TEXTS)
    elif kind == 2:
        made.int_value = rng.choice(INTEGERS)
    elif kind == 3:
        made.double_value = rng.choice(FLOATS)
    elif kind == 4:
        made.bool_value = rng.random() < 0.5
    elif kind == 5:
        made.bytes_value = rng.randbytes(rng.randrange(6))
    elif kind == 6:
        made.array_value.values.extend(value(rng, depth + 1) for _ in range(rng.randrange(4)))
    elif kind == 7:
        made.kvlist_value.values.extend(
            KeyValue(key=rng.choice(("a", "", "role", "tools")), value=value(rng, depth + 1))
            for _ in range(rng.randrange(4))
        )
    return made


def deepen(node: AnyValue, rng: Rng) -> None:
    """Nest a value, mostly within the hundred message levels a parser takes. Built in place: copies have the same bound."""
    for _ in range(rng.choice((5, 20, 40, 46))):
        node = node.array_value.values.add() if rng.random() < 0.5 else node.kvlist_value.values.add(key="k").value
    node.string_value = "bottom"


class Damage:
    """Mutations of messages. `keys` are attribute names that mean something to the mapping."""

    def __init__(self, rng: Rng, keys: list[str]) -> None:
        self._rng = rng
        self._keys = keys
        self._of_attributes: tuple[Callable[[Any], None], ...] = (
            *(self.drop, self.duplicate, self.retype, self.retype, self.truncate, self.swap, self.add, self.add),
            *(self.infix, self.nest, self.shuffle),
        )

    def apply(self, form: Form, request: Any) -> None:
        """One to six mutations, in place."""
        for _ in range(self._rng.randint(1, 6)):
            items = [item for group in form.groups(request) for item in group]
            if not items:
                return
            item = self._rng.choice(items)
            with suppress(DecodeError):  # what is nested deeply cannot be copied; then it stays where it is
                self._mutate(form, request, item)

    def _mutate(self, form: Form, request: Any, item: Any) -> None:
        draw = self._rng.random()
        if draw < 0.75:
            self._rng.choice(self._of_attributes)(self._attributes_near(form, request, item))
        elif draw > 0.97:
            self.copy_item(form, request)
        elif form.signal == "traces":
            self.span(item)
        else:
            self.record(item)

    def _attributes_near(self, form: Form, request: Any, item: Any) -> Any:
        """Attributes of the item mostly, of one of its events, of its resource or scope sometimes."""
        draw = self._rng.random()
        if draw < 0.1:
            return getattr(request, form.protobuf.resources)[0].resource.attributes
        if draw < 0.15:
            return getattr(getattr(request, form.protobuf.resources)[0], form.protobuf.scopes)[0].scope.attributes
        events = getattr(item, "events", ())
        return self._rng.choice(events).attributes if draw < 0.3 and events else item.attributes

    def drop(self, pairs: Any) -> None:
        """One attribute less."""
        if pairs:
            del pairs[self._rng.randrange(len(pairs))]

    def duplicate(self, pairs: Any) -> None:
        """A key twice, with another value."""
        if pairs:
            pairs.add(key=self._rng.choice(pairs).key, value=value(self._rng))

    def retype(self, pairs: Any) -> None:
        """Another kind of value."""
        if pairs:
            self._rng.choice(pairs).value.CopyFrom(value(self._rng))

    def truncate(self, pairs: Any) -> None:
        """Text cut where an SDK's limit falls: JSON that ends early."""
        texts = [pair for pair in pairs if pair.value.string_value]
        if texts:
            pair = self._rng.choice(texts)
            pair.value.string_value = pair.value.string_value[: self._rng.randrange(len(pair.value.string_value))]

    def swap(self, pairs: Any) -> None:
        """Two attributes with each other's values."""
        if len(pairs) > 1:
            one, other = self._rng.sample(range(len(pairs)), 2)
            kept = AnyValue()
            kept.CopyFrom(pairs[one].value)
            pairs[one].value.CopyFrom(pairs[other].value)
            pairs[other].value.CopyFrom(kept)

    def add(self, pairs: Any) -> None:
        """A key of some vocabulary where it does not belong."""
        pairs.add(key=self._rng.choice(self._keys), value=value(self._rng))

    def infix(self, pairs: Any) -> None:
        """A flattened key with an odd path in it."""
        key = self._rng.choice(self._keys)
        head, _, tail = key.partition(".")
        path = (*key.split(".")[:-1], self._rng.choice(INFIXES), tail or head)
        pairs.add(key=".".join(path), value=value(self._rng))

    def nest(self, pairs: Any) -> None:
        """A value nested deeply."""
        deepen(pairs.add(key=self._rng.choice(self._keys)).value, self._rng)

    def shuffle(self, pairs: Any) -> None:
        """The same attributes in another order."""
        kept = list(pairs)
        self._rng.shuffle(kept)
        copies = [KeyValue.FromString(pair.SerializeToString()) for pair in kept]
        del pairs[:]
        pairs.extend(copies)

    def span(self, span: Any) -> None:
        """Something beside the attributes of a span."""
        rng = self._rng
        kind = rng.randrange(7)
        if kind == 0:
            span.start_time_unix_nano = rng.choice(TIMES)
        elif kind == 1:
            span.end_time_unix_nano = rng.choice(TIMES)
        elif kind == 2:
            setattr(span, rng.choice(("trace_id", "span_id", "parent_span_id")), rng.choice(IDS))
        elif kind == 3:
            span.name = rng.choice((*TEXTS, "n" * LONGEST))
        elif kind == 4:
            span.status.code, span.status.message = rng.randrange(4), rng.choice(TEXTS)
        elif kind == 5:
            event = span.events.add(name=rng.choice(SPAN_KINDS), time_unix_nano=rng.choice(TIMES))
            self.add(event.attributes)
        else:
            del span.events[:]

    def record(self, record: Any) -> None:
        """Something beside the attributes of a log record."""
        rng = self._rng
        kind = rng.randrange(4)
        if kind == 0:
            record.time_unix_nano = rng.choice(TIMES)
        elif kind == 1:
            setattr(record, rng.choice(("trace_id", "span_id")), rng.choice(IDS))
        elif kind == 2:
            record.event_name = rng.choice((*SPAN_KINDS, *TEXTS))
        else:
            record.body.CopyFrom(value(rng))

    def copy_item(self, form: Form, request: Any) -> None:
        """The same item twice in one request."""
        groups = [group for group in form.groups(request) if group]
        if groups:
            group = self._rng.choice(groups)
            group.add().CopyFrom(self._rng.choice(group))


def flipped(body: bytes, rng: Rng) -> bytes:
    """Bytes changed, removed, put in, or all of them cut at some point."""
    damaged = bytearray(body)
    for _ in range(rng.randint(1, 4)):
        if not damaged:
            break
        at = rng.randrange(len(damaged))
        kind = rng.randrange(5)
        if kind == 0:
            damaged[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            damaged[at] = rng.randrange(256)
        elif kind == 2:
            del damaged[at : at + rng.randrange(1, 8)]
        elif kind == 3:
            damaged[at:at] = rng.randbytes(rng.randrange(1, 5))
        elif rng.random() < 0.2:
            del damaged[at:]
    return bytes(damaged)


def with_bad_text(body: bytes, rng: Rng) -> bytes:
    """Some letters replaced by bytes that are no UTF-8; lengths stay, so the message stays whole."""
    letters = [at for at, byte in enumerate(body) if 97 <= byte <= 122]
    damaged = bytearray(body)
    for at in rng.sample(letters, min(len(letters), rng.randint(1, 3))):
        damaged[at] = rng.choice((0x80, 0xC3, 0xED, 0xFE, 0xFF))
    return bytes(damaged)


_ID_KEYS = frozenset(("traceId", "spanId", "parentSpanId"))


def json_body(request: Any, rng: Rng) -> bytes:
    """The request as OTLP/JSON, sometimes with values of other types here and there."""
    written = MessageToDict(request, preserving_proto_field_name=rng.random() < 0.05)
    changes = rng.choice((0, 1, 3))
    return json.dumps(_varied(written, rng, changes / 40), ensure_ascii=rng.random() < 0.5).encode(
        errors="surrogatepass"
    )


_STRANGE: tuple[Any, ...] = (
    None,
    0,
    -1,
    1.5,
    1e21,
    10**30,
    True,
    "",
    "x",
    "NaN",
    [],
    {},
    [None],
    {"stringValue": 5},
    "\ud800",
    "2",
)


def _varied(node: Any, rng: Rng, share: float, key: str = "") -> Any:
    if share and rng.random() < share:
        return rng.choice(_STRANGE)
    if isinstance(node, dict):
        return {name: _varied(item, rng, share, name) for name, item in node.items()}
    if isinstance(node, list):
        return [_varied(item, rng, share) for item in node]
    if key in _ID_KEYS and isinstance(node, str):
        digits = base64.b64decode(node).hex()
        return digits.upper() if rng.random() < 0.1 else digits
    return node
