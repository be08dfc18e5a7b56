"""Decompression of request bodies, bounded while it happens: a bomb costs no more memory than the limit.

Pure functions over complete bodies; they release the interpreter lock, so they may run in a worker thread.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from traceback import clear_frames

import zstandard

from openfuse_collector.pdata.errors import BadDataError, TooLargeError

_SLICE = 1 << 16
"""Compressed bytes handed to zlib at a time."""
_PIECE = 1 << 18
"""Bytes zlib may give back at a time."""
_ZSTD_SLICE = 64
"""Compressed bytes handed to zstandard at a time: its output cannot be limited, but 4 bytes make a block of 128 KiB at most."""
_ZSTD_WINDOW = 8 << 20
"""What a frame may ask to be kept for it: the bound RFC 9659 sets for zstd on the web."""
MOST_STREAMS = 10_000
"""gzip members, zlib streams or zstd frames, one behind the other: an empty one has eight bytes and takes twenty microseconds."""
_ZLIB, _RAW, _GZIP = zlib.MAX_WBITS, -zlib.MAX_WBITS, zlib.MAX_WBITS | 16


def inflate(body: bytes, coding: str, limit: int) -> bytes:
    """The body without its content coding, a key of `CODINGS`; an empty body stays empty.

    Raises TooLargeError beyond `limit` bytes, BadDataError for broken or truncated data and for codings nobody knows.
    """
    if not body:
        return body
    decompress = CODINGS.get(coding)
    if decompress is None:
        known = ", ".join(sorted(CODINGS))
        raise BadDataError(f'Content-Encoding "{coding}" is not supported (supported: identity, {known})')
    try:
        return decompress(body, limit)
    except (TooLargeError, BadDataError) as error:
        _let_go(error)
        raise
    except (zlib.error, zstandard.ZstdError, EOFError) as error:
        _let_go(error)
        raise BadDataError(f"the body is not valid {coding}: {error}") from error


def _gzip(body: bytes, limit: int) -> bytes:
    return _join(_members(body, _GZIP), limit)


def _deflate(body: bytes, limit: int) -> bytes:
    """HTTP means the zlib format; some clients send the bare stream."""
    try:
        return _join(_members(body, _ZLIB), limit)
    except (zlib.error, EOFError) as error:
        _let_go(error)
    return _join(_members(body, _RAW), limit)


def _zstd(body: bytes, limit: int) -> bytes:
    size = zstandard.frame_content_size(body)
    if size > limit:
        raise TooLargeError(limit)
    if size > 0:
        try:
            return zstandard.ZstdDecompressor().decompress(body, allow_extra_data=False)
        except zstandard.ZstdError:
            pass  # several frames, or broken: the slow way tells which
    return _join(_frames(body), limit)


CODINGS: dict[str, Callable[[bytes, int], bytes]] = {"gzip": _gzip, "deflate": _deflate, "zstd": _zstd}
"""Content coding -> decompression; `identity` is not one."""


def _let_go(error: Exception) -> None:
    """An error holds its frames until somebody has answered it. What was inflated in them, and windows, go now."""
    clear_frames(error.__traceback__)


def _join(pieces: Iterator[bytes], limit: int) -> bytes:
    kept: list[bytes] = []
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > limit:
            raise TooLargeError(limit)
        kept.append(piece)
    return kept[0] if len(kept) == 1 else b"".join(kept)


def _members(body: bytes, wbits: int) -> Iterator[bytes]:
    """What zlib makes of one stream after another (gzip files may be concatenated), in small pieces."""
    position = streams = 0
    while position < len(body):
        streams = _one_more(streams)
        stream = zlib.decompressobj(wbits)
        while not stream.eof:
            if position >= len(body):
                raise EOFError("it ends too early")
            data = body[position : position + _SLICE]
            position += len(data)
            yield from _inflated(stream, data)
        position -= len(stream.unused_data)


def _inflated(stream: zlib._Decompress, data: bytes) -> Iterator[bytes]:
    """All that zlib makes of some input. Behind a full piece it may hold more, also when it has taken all of the input."""
    full = True
    while not stream.eof and (full or stream.unconsumed_tail):
        piece = stream.decompress(data, _PIECE)
        if piece:
            yield piece
        full, data = len(piece) == _PIECE, stream.unconsumed_tail


def _frames(body: bytes) -> Iterator[bytes]:
    """What zstandard makes of one frame after another."""
    decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    position = streams = 0
    while position < len(body):
        streams = _one_more(streams)
        frame = decompressor.decompressobj()
        while not frame.eof:
            if position >= len(body):
                raise EOFError("it ends too early")
            data = body[position : position + _ZSTD_SLICE]
            position += len(data)
            if piece := frame.decompress(data):
                yield piece
        position -= len(frame.unused_data)


def _one_more(streams: int) -> int:
    if streams >= MOST_STREAMS:
        raise BadDataError(f"the body is compressed in more than {MOST_STREAMS:,} pieces: compress it as one")
    return streams + 1
