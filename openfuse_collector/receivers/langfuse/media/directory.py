"""Files on disk: per project a content file and a small JSON record for each media id. Blocking: for worker threads.

`<directory>/<project>/<media id>` holds the bytes, `<media id>.json` what is known of them. A content file is there only
when it is complete, has the announced hash and is on the disk.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any
from urllib.parse import quote

import msgspec

from openfuse_collector.receivers.langfuse.failures import AnswerError
from openfuse_collector.receivers.langfuse.media.announcement import Announcement
from openfuse_collector.receivers.langfuse.media.signing import signing_key

Record = dict[str, Any]
"""contentType, contentLength, sha256 (hex) and, once reported, uploadedAt, uploadHttpStatus, uploadHttpError."""


class MediaDirectory:
    """The directory of one receiver. Nobody else adds to it, so its size is counted once."""

    def __init__(self, path: Path, max_total_size: int) -> None:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = path
        self._most = max_total_size
        self._used = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        self.key = signing_key(path)

    def announce(self, project_id: str, media: Announcement) -> bool:
        """Note a file to come. False when it is here already. Raises AnswerError (413) when there is no room for it."""
        content = self.content(project_id, media.media_id)
        if content.exists():
            return False
        if self._used + media.content_length > self._most:
            raise AnswerError(413, {"message": f"The media directory is full ({self._most} bytes)"})
        content.parent.mkdir(mode=0o700, exist_ok=True)
        record = {"contentType": media.content_type, "contentLength": media.content_length}
        self._write_record(content, {**record, "sha256": media.sha256.hex()})
        return True

    def record(self, project_id: str, media_id: str) -> Record | None:
        """What is known of a file, None for one nobody announced."""
        try:
            return dict(msgspec.json.decode(_record_of(self.content(project_id, media_id)).read_bytes()))
        except FileNotFoundError:
            return None

    def report(self, project_id: str, media_id: str, fields: Record) -> None:
        """Add to what is known of an announced file."""
        record = self.record(project_id, media_id) or {}
        self._write_record(self.content(project_id, media_id), record | fields)

    def content(self, project_id: str, media_id: str) -> Path:
        """Where the bytes of a file are, or would be."""
        return self._path / f"project-{quote(project_id, safe='')}" / media_id

    def incoming(self, project_id: str, media_id: str) -> Incoming:
        """An upload of an announced file. Raises AnswerError (404) when nobody announced it."""
        record = self.record(project_id, media_id)
        if record is None:
            raise AnswerError(404, {"message": "Media asset not found"})
        return Incoming(self.content(project_id, media_id), record, self._grown)

    def _grown(self, size: int) -> None:
        self._used += size

    def _write_record(self, content: Path, record: Record) -> None:
        path = _record_of(content)
        fresh = path.with_suffix(f".json-{os.getpid()}")
        fresh.write_bytes(msgspec.json.encode(record))
        fresh.replace(path)


class Incoming:
    """The bytes of one upload on their way to disk. Call `finish` or `abandon`."""

    def __init__(self, content: Path, record: Record, grown: Callable[[int], None]) -> None:
        self._content = content
        self._record = record
        self._grown = grown
        self._hash = sha256()
        self._size = 0
        self._file = NamedTemporaryFile(dir=content.parent, prefix=".upload-", delete=False)  # noqa: SIM115

    def write(self, chunk: bytes) -> None:
        """More bytes. Raises AnswerError (413) beyond the announced length."""
        self._size += len(chunk)
        if self._size > self._record["contentLength"]:
            raise AnswerError(413, {"message": "The upload is larger than announced"})
        self._hash.update(chunk)
        self._file.write(chunk)

    def finish(self) -> None:
        """The file is complete: check it, and put it on the disk for good. Raises AnswerError (400) when it is another file."""
        if self._hash.hexdigest() != self._record["sha256"]:
            raise AnswerError(
                400, {"message": "The upload is not the file that was announced: length or SHA-256 differ"}
            )
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        known = self._content.exists()
        Path(self._file.name).replace(self._content)
        if not known:
            self._grown(self._size)

    def abandon(self) -> None:
        """Nothing came of it; safe after `finish`."""
        self._file.close()
        Path(self._file.name).unlink(missing_ok=True)


def _record_of(content: Path) -> Path:
    return content.with_name(content.name + ".json")
