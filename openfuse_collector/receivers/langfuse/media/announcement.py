"""What a client says of a file before it uploads it: the body of `POST /api/public/media`."""

from __future__ import annotations

import binascii
from base64 import b64decode, urlsafe_b64encode
from typing import Any, NamedTuple

from openfuse_collector.receivers.langfuse.failures import AnswerError, unfit
from openfuse_collector.receivers.langfuse.schemas.fields import OPTIONAL_TEXT, Field, integer, option, text
from openfuse_collector.receivers.langfuse.schemas.issues import Issue, Path, broken_rule
from openfuse_collector.receivers.langfuse.schemas.objects import Object, Schema

CONTENT_TYPES = (
    *(f"image/{kind}" for kind in ["png", "jpeg", "jpg", "webp", "gif", "svg+xml", "tiff", "bmp", "avif", "heic"]),
    *(f"audio/{kind}" for kind in ["mpeg", "mp3", "wav", "ogg", "oga", "aac", "mp4", "flac", "opus", "webm"]),
    *(f"video/{kind}" for kind in ["mp4", "webm", "ogg", "mpeg", "quicktime", "x-msvideo", "x-matroska"]),
    *(f"text/{kind}" for kind in ["plain", "html", "css", "csv", "markdown", "x-python", "x-typescript"]),
    *(
        f"application/{kind}"
        for kind in ["javascript", "x-yaml", "pdf", "msword", "zip", "json", "xml", "octet-stream"]
    ),
    "application/vnd.ms-excel",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "application/rtf",
    "application/gzip",
    "application/x-tar",
    "application/x-7z-compressed",
)

_ID_LENGTH = 22


class Announcement(NamedTuple):
    """A file to come."""

    media_id: str
    content_type: str
    content_length: int
    """Bytes."""
    sha256: bytes


def read_announcement(body: Any, max_size: int) -> Announcement:
    """The file a body announces. Raises AnswerError: 400 for what is wrong with it, 413 when it is too large."""
    issues: list[Issue] = []
    kept = _SCHEMA.parse(body, (), issues)
    if issues:
        raise unfit(issues)
    length: int = kept["contentLength"]
    if length > max_size:
        raise AnswerError(413, {"message": f"File size must be less than {max_size} bytes"})
    digest = b64decode(kept["sha256Hash"])
    return Announcement(media_id_of(digest), kept["contentType"], length, digest)


def media_id_of(digest: bytes) -> str:
    """The id SDKs put into payloads before they have asked: the beginning of the SHA-256 in URL-safe base64."""
    return urlsafe_b64encode(digest).decode()[:_ID_LENGTH]


def _length(value: Any, path: Path, issues: list[Issue]) -> Any:
    kept = integer(value, path, issues)
    if type(kept) is int and kept <= 0:
        issues.append(broken_rule("contentLength must be positive", path))
    return kept


def _hash(value: Any, path: Path, issues: list[Issue]) -> Any:
    kept = text()(value, path, issues)
    if type(kept) is str and not _is_hash(kept):
        issues.append(broken_rule("sha256Hash must be the base64 of a SHA-256: 44 characters", path))
    return kept


def _is_hash(value: str) -> bool:
    try:
        return len(value) == 44 and len(b64decode(value, validate=True)) == 32
    except (binascii.Error, ValueError):
        return False


def _owner(kept: Object, path: Path, issues: list[Issue]) -> None:
    """A file belongs to a trace, or to an item of a dataset."""
    if not kept.get("traceId") and not (kept.get("datasetId") and kept.get("datasetItemId")):
        issues.append(broken_rule("Provide traceId, or datasetId and datasetItemId", path))


_SCHEMA = Schema(
    {
        "contentType": Field(frozenset(), option(*CONTENT_TYPES), needed=True),
        "contentLength": Field(frozenset(), _length, needed=True),
        "sha256Hash": Field(frozenset(), _hash, needed=True),
        "field": Field(frozenset(), option("input", "output", "metadata", "expectedOutput"), needed=True),
        **dict.fromkeys(("traceId", "observationId", "datasetId", "datasetItemId"), OPTIONAL_TEXT),
    },
    rule=_owner,
)
