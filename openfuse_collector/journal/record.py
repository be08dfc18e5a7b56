"""One record of the log on disk: its bytes, and how to tell a whole one from anything else.

    magic 4 | header crc32 4 | body crc32 4 | offset 8 | origin length 4 | payload length 4 | origin (msgpack) | payload

Integers are big-endian. The header's checksum covers the 20 bytes behind itself, the body's origin and payload: when only the body is
damaged, the lengths still say where the next record begins. A record holds its own offset, so bytes that merely look like a record (a
payload that quotes one, a sector of a deleted file) are not taken for one.
"""

from __future__ import annotations

import struct
from typing import NamedTuple
from zlib import crc32

import msgspec

from openfuse_collector.signals import Origin

MAGIC = b"\xf5OJ\x01"
"""0xf5 occurs in no UTF-8 text; the last byte is the version of the format."""

_PREFIX = struct.Struct(">4sI")
_CHECKED = struct.Struct(">IQII")
HEADER_SIZE = _PREFIX.size + _CHECKED.size

encode_origin = msgspec.msgpack.Encoder().encode
_decode_origin = msgspec.msgpack.Decoder(Origin).decode


class Header(NamedTuple):
    """Where a record begins and ends (global offsets), where its payload starts within it, and the checksum of its body."""

    offset: int
    end: int
    payload_at: int
    body_crc: int


def encode_head(offset: int, origin: bytes, payload: bytes) -> bytes:
    """The bytes of a record in front of its payload; `origin` is already encoded."""
    checked = _CHECKED.pack(crc32(payload, crc32(origin)), offset, len(origin), len(payload))
    return _PREFIX.pack(MAGIC, crc32(checked)) + checked + origin


def decode_header(window: bytes, at: int) -> Header | None:
    """The header at `window[at:]`, None when there is no undamaged one."""
    if len(window) - at < HEADER_SIZE:
        return None
    magic, crc = _PREFIX.unpack_from(window, at)
    if magic != MAGIC or crc != crc32(window[at + _PREFIX.size : at + HEADER_SIZE]):
        return None
    body_crc, offset, origin, payload = _CHECKED.unpack_from(window, at + _PREFIX.size)
    return Header(offset, offset + HEADER_SIZE + origin + payload, HEADER_SIZE + origin, body_crc)


def decode_origin(encoded: bytes) -> Origin:
    """The origin of a record. Raises msgspec.MsgspecError when a newer version wrote what this one does not know."""
    return _decode_origin(encoded)
