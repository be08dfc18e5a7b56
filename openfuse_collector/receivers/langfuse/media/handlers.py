"""The calls around media: announce, upload, report, describe, download. Without a directory each says that media is off."""

from __future__ import annotations

import asyncio
import re
import time
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from aiohttp import web

from openfuse_collector.auth import Identity, Scope
from openfuse_collector.errors import RetryableError
from openfuse_collector.pdata.errors import BadDataError
from openfuse_collector.receivers.langfuse.answers import reply
from openfuse_collector.receivers.langfuse.calls import parse_body
from openfuse_collector.receivers.langfuse.config import MediaConfig
from openfuse_collector.receivers.langfuse.failures import AnswerError, unfit
from openfuse_collector.receivers.langfuse.media.announcement import read_announcement
from openfuse_collector.receivers.langfuse.media.directory import ABANDONED, Incoming, MediaDirectory, Record
from openfuse_collector.receivers.langfuse.media.signing import Grant, is_signed, sign
from openfuse_collector.receivers.langfuse.schemas.fields import OPTIONAL_NUMBER, OPTIONAL_TEXT, Field, integer
from openfuse_collector.receivers.langfuse.schemas.issues import Issue
from openfuse_collector.receivers.langfuse.schemas.objects import Schema

if TYPE_CHECKING:
    from openfuse_collector.receivers.langfuse.api import LangfuseApi

OFF = "Media uploads are off in this collector: set media::directory of its langfuse receiver"

_LONGEST_TIME = 12
"""Digits of epoch seconds, for many thousand years."""
_MEDIA_ID = re.compile(r"[A-Za-z0-9_-]{22}")
_REPORT = Schema(
    {
        "uploadedAt": OPTIONAL_TEXT,
        "uploadHttpStatus": Field(frozenset(), integer, needed=True),
        "uploadHttpError": OPTIONAL_TEXT,
        "uploadTimeMs": OPTIONAL_NUMBER,
    }
)
_SAFE_DOWNLOAD = {"Content-Security-Policy": "sandbox", "X-Content-Type-Options": "nosniff"}
"""Uploaded pages and drawings must not run scripts on this collector's address."""


class MediaHandlers:
    """Handlers over one directory."""

    def __init__(self, api: LangfuseApi) -> None:
        self._api = api
        self._config = api.config.media
        self._opening: asyncio.Task[MediaDirectory] | None = None

    async def announce(self, request: web.Request) -> web.Response:
        """POST: a file is to come -> `{mediaId, uploadUrl}`; no address when it is here already."""
        directory = await self._directory()
        identity = await self._api.identify(request, Scope.PROJECT)
        media = read_announcement(await self._json(request), self._settings.max_size)
        if not await asyncio.to_thread(directory.announce, identity.project_id, media):
            return reply({"mediaId": media.media_id, "uploadUrl": None})
        url = self._address(request, directory, self._grant("PUT", identity, media.media_id))
        return reply({"mediaId": media.media_id, "uploadUrl": url}, HTTPStatus.CREATED)

    async def upload(self, request: web.Request) -> web.Response:
        """PUT to a signed address: the file itself."""
        directory = await self._directory()
        grant = self._granted(request, directory)
        incoming = await asyncio.to_thread(directory.incoming, grant.project_id, grant.media_id)
        try:
            await self._receive(request, incoming)
        finally:
            await asyncio.to_thread(incoming.abandon)
        return web.Response()

    async def report(self, request: web.Request) -> web.Response:
        """PATCH: how the upload went, as the client saw it."""
        directory = await self._directory()
        identity = await self._api.identify(request, Scope.PROJECT)
        media_id = _media_id(request)
        issues: list[Issue] = []
        fields = _REPORT.parse(await self._json(request), (), issues)
        if issues:
            raise unfit(issues)
        await self._known(directory, identity.project_id, media_id)
        await asyncio.to_thread(directory.report, identity.project_id, media_id, fields)
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def describe(self, request: web.Request) -> web.Response:
        """GET: what a file is, and a signed address it can be read from."""
        directory = await self._directory()
        identity = await self._api.identify(request, Scope.PROJECT)
        media_id = _media_id(request)
        record = await self._known(directory, identity.project_id, media_id)
        content = directory.content(identity.project_id, media_id)
        if not content.exists():
            raise _missing(record)
        grant = self._grant("GET", identity, media_id)
        return reply(
            {
                "mediaId": media_id,
                "contentType": record["contentType"],
                "contentLength": record["contentLength"],
                "uploadedAt": record.get("uploadedAt") or _iso(content.stat().st_mtime),
                "url": self._address(request, directory, grant),
                "urlExpiry": _iso(grant.expires),
            }
        )

    async def download(self, request: web.Request) -> web.StreamResponse:
        """GET of a signed address: the file itself."""
        directory = await self._directory()
        grant = self._granted(request, directory)
        record = await self._known(directory, grant.project_id, grant.media_id)
        content = directory.content(grant.project_id, grant.media_id)
        if not content.exists():
            raise _missing(record)
        return web.FileResponse(content, headers={"Content-Type": record["contentType"], **_SAFE_DOWNLOAD})

    async def _receive(self, request: web.Request, incoming: Incoming) -> None:
        with self._api.in_flight.hold() as hold:
            while chunk := await self._chunk(request):
                hold.resize(len(chunk))
                await asyncio.to_thread(incoming.write, chunk)
        await asyncio.to_thread(incoming.finish)

    async def _chunk(self, request: web.Request) -> bytes:
        """The next bytes of an upload, empty at its end. Raises BadDataError, RetryableError when nothing comes for too long."""
        try:
            async with asyncio.timeout(self._api.config.read_timeout or None):
                return await request.content.readany()
        except TimeoutError as error:
            raise RetryableError("the upload stands still") from error
        except web.RequestPayloadError as error:
            raise BadDataError(f"the upload is broken: {error}") from error

    @property
    def _settings(self) -> MediaConfig:
        if self._config == "off":
            raise AnswerError(HTTPStatus.NOT_FOUND, {"error": "LangfuseNotFoundError", "message": OFF})
        return self._config

    async def _directory(self) -> MediaDirectory:
        """The directory, opened by the first call. Raises AnswerError (404) when media is off."""
        settings = self._settings
        if self._opening is None:
            abandoned = max(ABANDONED, settings.url_validity)
            make = partial(MediaDirectory, settings.directory, settings.max_total_size, abandoned)
            self._opening = asyncio.create_task(asyncio.to_thread(make))
        try:
            return await asyncio.shield(self._opening)
        except OSError:
            self._opening = None
            raise

    async def _json(self, request: web.Request) -> Any:
        with self._api.in_flight.hold() as hold:
            return parse_body(await self._api.body(request, hold))

    async def _known(self, directory: MediaDirectory, project_id: str, media_id: str) -> Record:
        record = await asyncio.to_thread(directory.record, project_id, media_id)
        if record is None:
            raise AnswerError(HTTPStatus.NOT_FOUND, {"message": "Media asset not found"})
        return record

    def _grant(self, method: str, identity: Identity, media_id: str) -> Grant:
        return Grant(method, identity.project_id, media_id, int(time.time() + self._settings.url_validity))

    def _granted(self, request: web.Request, directory: MediaDirectory) -> Grant:
        query = request.query
        expires = query.get("expires", "")
        until = int(expires) if expires.isdecimal() and len(expires) <= _LONGEST_TIME else 0
        grant = Grant(request.method, query.get("project", ""), _media_id(request), until)
        if not is_signed(directory.key, grant, query.get("signature", ""), time.time()):
            raise AnswerError(HTTPStatus.FORBIDDEN, {"message": "The address is not signed, or has expired"})
        return grant

    def _address(self, request: web.Request, directory: MediaDirectory, grant: Grant) -> str:
        base = self._settings.url.rstrip("/") or f"{request.scheme}://{request.host}"
        path = f"/api/public/media/{quote(grant.media_id)}/content"
        return f"{base}{path}?{sign(directory.key, grant)}"


def _media_id(request: web.Request) -> str:
    """The id in the path. Raises AnswerError (404) for what cannot be one, and could be a path."""
    media_id = request.match_info["media_id"]
    if _MEDIA_ID.fullmatch(media_id) is None:
        raise AnswerError(HTTPStatus.NOT_FOUND, {"message": "Media asset not found"})
    return media_id


def _missing(record: Record) -> AnswerError:
    """404 for an announced file that is not here."""
    status = record.get("uploadHttpStatus")
    if status is None or 200 <= status < 300:
        return AnswerError(HTTPStatus.NOT_FOUND, {"message": "Media not yet uploaded"})
    return AnswerError(HTTPStatus.NOT_FOUND, {"message": f"Media upload failed with status {status}"})


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
