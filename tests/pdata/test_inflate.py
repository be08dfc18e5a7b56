"""Decompression: every coding, exact limits, bombs, truncation."""

from __future__ import annotations

import gzip
import random
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from openfuse_collector.pdata.errors import BadDataError, TooLargeError
from openfuse_collector.pdata.inflate import _PIECE, CODINGS, MOST_STREAMS, inflate

MIB = 1024 * 1024


def raw_deflate(body: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(body) + stream.flush()


def zstd_unsized(body: bytes) -> bytes:
    stream = zstandard.ZstdCompressor().compressobj()
    return stream.compress(body) + stream.flush()


WRITERS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gzip", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", raw_deflate),
    ("zstd", zstandard.ZstdCompressor().compress),
    ("zstd", zstd_unsized),
]
every_writer = pytest.mark.parametrize(("coding", "compress"), WRITERS)
MIXED = random.Random(7).randbytes(200_000) + bytes(500_000) + random.Random(8).randbytes(300_000)


@every_writer
@pytest.mark.parametrize("body", [b"x", b"hello" * 1000, bytes(3 * MIB), MIXED], ids=len)
def test_round_trip_at_exactly_the_limit(coding: str, compress: Callable[[bytes], bytes], body: bytes) -> None:
    assert inflate(compress(body), coding, len(body)) == body
    with pytest.raises(TooLargeError):
        inflate(compress(body), coding, len(body) - 1)


@every_writer
@pytest.mark.parametrize("pieces", [1, 3])
def test_a_match_that_ends_a_little_behind_a_full_piece(
    coding: str, compress: Callable[[bytes], bytes], pieces: int
) -> None:
    """A bare deflate stream has no trailer: zlib has all of its input, and still holds the end of the last match."""
    for length in range(pieces * _PIECE - 2, pieces * _PIECE + 260, 6):
        body = b"{" + bytes(length - 1)
        assert inflate(compress(body), coding, length) == body


@pytest.mark.parametrize("coding", CODINGS)
def test_an_empty_body_stays_empty(coding: str) -> None:
    assert inflate(b"", coding, 10) == b""


@every_writer
def test_an_empty_stream(coding: str, compress: Callable[[bytes], bytes]) -> None:
    assert inflate(compress(b""), coding, 10) == b""


@every_writer
def test_truncated_streams_are_bad_data(coding: str, compress: Callable[[bytes], bytes]) -> None:
    whole = compress(MIXED)
    for end in (1, 5, 100, len(whole) // 2, len(whole) - 1):
        with pytest.raises(BadDataError):
            inflate(whole[:end], coding, 2 * MIB)


@every_writer
def test_broken_streams_are_bad_data(coding: str, compress: Callable[[bytes], bytes]) -> None:
    broken = bytearray(compress(b"hello world " * 1000))
    broken[0] ^= 0xFF
    with pytest.raises(BadDataError):
        inflate(bytes(broken), coding, MIB)


@pytest.mark.parametrize(("coding", "compress"), [pair for pair in WRITERS if pair[0] != "deflate"])
def test_concatenated_streams_are_one_body(coding: str, compress: Callable[[bytes], bytes]) -> None:
    assert inflate(compress(MIXED) + compress(b"") + compress(b"tail"), coding, 2 * MIB) == MIXED + b"tail"


@every_writer
def test_streams_one_behind_the_other_are_bounded(coding: str, compress: Callable[[bytes], bytes]) -> None:
    """What an empty one costs has nothing to do with the bytes that come out, of which there are none."""
    assert inflate(compress(b"") * MOST_STREAMS, coding, 10) == b""
    with pytest.raises(BadDataError, match="more than 10,000 pieces"):
        inflate(compress(b"") * (MOST_STREAMS + 1), coding, 10)


@every_writer
def test_a_bomb_costs_no_more_than_the_limit(coding: str, compress: Callable[[bytes], bytes]) -> None:
    limit = 16 * MIB
    bomb = compress(bytes(256 * MIB))
    assert len(bomb) < MIB
    tracemalloc.start()
    try:
        with pytest.raises(TooLargeError):
            inflate(bomb, coding, limit)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # A block of zstandard that was handed over whole may come on top.
    assert peak < limit * (2.5 if coding == "zstd" else 1.1)


@every_writer
@pytest.mark.parametrize("broken", [False, True], ids=["too large", "broken at its end"])
def test_an_error_holds_nothing_of_what_was_inflated(
    coding: str, compress: Callable[[bytes], bytes], broken: bool
) -> None:
    """It lives until it has been answered, and others are inflated meanwhile."""
    body = random.Random(9).randbytes(MIB) * 8
    sent = compress(body)[: -1 if broken else None]
    tracemalloc.start()
    try:
        with pytest.raises(BadDataError if broken else TooLargeError) as caught:
            inflate(sent, coding, len(body) if broken else len(body) - 1)
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert caught.value
    assert held < MIB


def test_unknown_codings_are_bad_data() -> None:
    with pytest.raises(BadDataError, match="deflate, gzip, zstd"):
        inflate(b"x", "br", 10)


@given(st.sampled_from(sorted(CODINGS)), st.binary(max_size=100))
def test_any_bytes_are_inflated_or_refused(coding: str, body: bytes) -> None:
    try:
        assert len(inflate(body, coding, 1000)) <= 1000
    except (BadDataError, TooLargeError):
        pass
