"""The journal form of accepted events: a JSON array, one object per event. Fields a later version adds have defaults."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from openfuse_collector.events.event import Event

# JSON, not MessagePack: clients send integers beyond 64 bits, which only JSON holds.
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[Event]).decode


def encode_events(events: Sequence[Event]) -> bytes:
    """The payload of a journal record with signal `events`."""
    return _encode(events)


def decode_events(payload: bytes) -> list[Event]:
    """The events of a record. Raises msgspec.DecodeError when it was not written by `encode_events`."""
    return _decode(payload)
