"""Files on disk: per project a content file and a small JSON record for each media id. Blocking: for worker threads.

`<directory>/<project>/<media id>` holds the bytes, `<media id>.json` what is known of them. A content file is there only
when it is complete, has the announced hash and is on the disk.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from threading import Lock
from typing import Any
from urllib.parse import quote

import msgspec

from openfuse_collector.journal.files import OsFiles, write_whole
from openfuse_collector.receivers.langfuse.failures import AnswerError
from openfuse_collector.receivers.langfuse.media.announcement import Announcement
from openfuse_collector.receivers.langfuse.media.signing import signing_key

Record = dict[str, Any]
"""contentType, contentLength, sha256 (hex) and, once reported, uploadedAt, uploadHttpStatus, uploadHttpError."""

_UPLOAD = ".upload-"
"""How the names of files begin that are not complete yet."""
_STALE = 3600.0
"""Seconds after which an upload nothing was added to has ended with the process it came to."""
RECORD_ROOM = 4096
"""Bytes a record counts for: a block of most file systems, and more than a record has (`_LONGEST`)."""
_LONGEST = {"uploadedAt": 60, "uploadHttpError": 500}
"""Characters kept of texts the client chose. One takes up to six bytes in JSON."""
ABANDONED = 86_400.0
"""Seconds after which a file that was announced is no longer expected."""
_BETWEEN_SWEEPS = 600.0
"""Seconds. Looking through a directory of a million files takes some itself."""
_FILES = OsFiles()


class MediaDirectory:
    """The directory of one receiver, with no more than `max_total_size` bytes in it. Nobody else adds to it, so its size is counted
    once. What was announced and has not come after `abandoned` seconds is forgotten: at the start, and where there is no room.
    Thread-safe.
    """

    def __init__(self, path: Path, max_total_size: int, abandoned: float = ABANDONED) -> None:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        _remove_broken_off(path)
        _remove_abandoned(path, abandoned)
        self._path = path
        self._most = max_total_size
        self._abandoned = abandoned
        self._next_sweep = 0.0
        self._used = sum(_room_of(file) for file in path.rglob("*") if file.is_file())
        self._arriving = 0
        """Bytes of the uploads that are on their way, as announced."""
        self._lock = Lock()
        """Held while records and the two sums change: clients announce and upload one file several times at once."""
        self.key = signing_key(path)

    def announce(self, project_id: str, media: Announcement) -> bool:
        """Note a file to come. False when it is here already. Raises AnswerError (413) when there is no room for it."""
        content = self.content(project_id, media.media_id)
        with self._lock:
            if content.exists():
                return False
            self._check_room(media.content_length + RECORD_ROOM)
            _FILES.make_directory(content.parent)
            record = {"contentType": media.content_type, "contentLength": media.content_length}
            known = _record_of(content).exists()
            _write_record(content, {**record, "sha256": media.sha256.hex()})
            self._used += 0 if known else RECORD_ROOM
        return True

    def record(self, project_id: str, media_id: str) -> Record | None:
        """What is known of a file, None for one nobody announced."""
        try:
            return dict(msgspec.json.decode(_record_of(self.content(project_id, media_id)).read_bytes()))
        except FileNotFoundError:
            return None

    def report(self, project_id: str, media_id: str, fields: Record) -> None:
        """Add to what is known of an announced file. Raises AnswerError (404) when nobody announced it."""
        with self._lock:
            record = self._announced(project_id, media_id)
            _write_record(self.content(project_id, media_id), record | fields)

    def content(self, project_id: str, media_id: str) -> Path:
        """Where the bytes of a file are, or would be."""
        return self._path / f"project-{quote(project_id, safe='')}" / media_id

    def incoming(self, project_id: str, media_id: str) -> Incoming:
        """An upload of an announced file.

        Raises AnswerError: 404 when nobody announced it, 413 when what has come since it was announced left no room for it.
        """
        content = self.content(project_id, media_id)
        with self._lock:
            record = self._announced(project_id, media_id)
            os.utime(_record_of(content))  # it is not abandoned while this arrives
            if not content.exists():
                self._check_room(record["contentLength"])
            made = Incoming(content, record, self)
            self._arriving += record["contentLength"]
        return made

    def keep(self, upload: Path, content: Path, size: int) -> None:
        """A complete upload becomes the content of a file, for good."""
        with self._lock:
            known = content.exists()
            _FILES.rename(upload, content)
            _FILES.sync_directory(content.parent)
            self._used += 0 if known else size

    def over(self, announced: int) -> None:
        """An upload of so many bytes is no longer on its way."""
        with self._lock:
            self._arriving -= announced

    def _announced(self, project_id: str, media_id: str) -> Record:
        record = self.record(project_id, media_id)
        if record is None:
            raise AnswerError(404, {"message": "Media asset not found"})
        return record

    def _check_room(self, size: int) -> None:
        if not self._has_room(size) and time.monotonic() >= self._next_sweep:
            self._used -= _remove_abandoned(self._path, self._abandoned)
            self._next_sweep = time.monotonic() + _BETWEEN_SWEEPS
        if not self._has_room(size):
            raise AnswerError(413, {"message": f"The media directory is full ({self._most} bytes)"})

    def _has_room(self, size: int) -> bool:
        return self._used + self._arriving + size <= self._most


class Incoming:
    """The bytes of one upload on their way to disk. Call `finish` when all are there, and `abandon` in any case."""

    def __init__(self, content: Path, record: Record, directory: MediaDirectory) -> None:
        self._content = content
        self._record = record
        self._directory = directory
        self._hash = sha256()
        self._size = 0
        self._over = False
        self._file = NamedTemporaryFile(dir=content.parent, prefix=_UPLOAD, delete=False)  # noqa: SIM115

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
        self._directory.keep(Path(self._file.name), self._content, self._size)

    def abandon(self) -> None:
        """Nothing more comes; what was finished stays. Idempotent."""
        if not self._over:
            self._over = True
            self._directory.over(self._record["contentLength"])
        with suppress(OSError):  # a full disk refuses once more what it has refused already
            self._file.close()
        Path(self._file.name).unlink(missing_ok=True)


def _remove_broken_off(path: Path) -> None:
    for upload in path.rglob(f"{_UPLOAD}*"):
        if time.time() - upload.stat().st_mtime > _STALE:
            upload.unlink(missing_ok=True)


def _remove_abandoned(path: Path, seconds: float) -> int:
    """Remove records older than that which have no content. Returns the bytes they counted for."""
    freed = 0
    for record in path.glob("project-*/*.json"):
        if time.time() - record.stat().st_mtime > seconds and not record.with_suffix("").exists():
            freed += _room_of(record)
            record.unlink()
    return freed


def _room_of(file: Path) -> int:
    size = file.stat().st_size
    return max(size, RECORD_ROOM) if file.suffix == ".json" else size


def _write_record(content: Path, record: Record) -> None:
    cut = {name: record[name][:most] for name, most in _LONGEST.items() if type(record.get(name)) is str}
    write_whole(_FILES, _record_of(content), msgspec.json.encode(record | cut))


def _record_of(content: Path) -> Path:
    return content.with_name(content.name + ".json")
