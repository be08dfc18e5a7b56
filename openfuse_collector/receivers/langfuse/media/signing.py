"""Addresses that carry their own permission, so that uploads and downloads need no key."""

from __future__ import annotations

import hmac
import os
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

from openfuse_collector.journal.files import OsFiles, read_whole, write_whole

_KEY_BYTES = 32
_FILES = OsFiles()


class Grant(NamedTuple):
    """What an address allows."""

    method: str
    project_id: str
    media_id: str
    expires: int
    """Epoch seconds."""


def sign(key: bytes, grant: Grant) -> str:
    """The query of an address that allows it."""
    query = {"project": grant.project_id, "expires": str(grant.expires), "signature": _signature(key, grant)}
    return urlencode(query)


def is_signed(key: bytes, grant: Grant, signature: str, now: float) -> bool:
    """Whether an address is ours and still good. The time does not depend on the signature."""
    right = hmac.compare_digest(_signature(key, grant).encode(), signature.encode("utf-8", "replace"))
    return right and now < grant.expires


def signing_key(directory: Path) -> bytes:
    """The key of a directory, made when it has none, or not a whole one. Addresses stay good when the collector starts again."""
    path = directory / ".signing-key"
    key = read_whole(_FILES, path)
    if key is None or len(key) != _KEY_BYTES:
        key = os.urandom(_KEY_BYTES)
        write_whole(_FILES, path, key)
    return key


def _signature(key: bytes, grant: Grant) -> str:
    return hmac.new(key, "\n".join(map(str, grant)).encode("utf-8", "surrogatepass"), "sha256").hexdigest()
