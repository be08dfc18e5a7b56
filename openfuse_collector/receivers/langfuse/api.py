"""The Langfuse API over one way into the journal: who calls, what they bring, the answer. One object per receiver."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus

from aiohttp import web

from openfuse_collector import __version__
from openfuse_collector.auth import Authenticator, Identity, OpenDoor, Scope, identify
from openfuse_collector.component import Intake, Settings
from openfuse_collector.errors import OverloadError, RetryableError
from openfuse_collector.pdata.errors import TooLargeError
from openfuse_collector.receivers.langfuse.answers import INTERNAL, answer_of, later, reply
from openfuse_collector.receivers.langfuse.calls import Context, Judged, Read
from openfuse_collector.receivers.langfuse.config import LangfuseConfig
from openfuse_collector.receivers.langfuse.failures import forbidden
from openfuse_collector.receivers.langfuse.repeats import CallIds, RefusedCalls
from openfuse_collector.receivers.langfuse.telemetry import Happenings
from openfuse_collector.receivers.requests.appends import PATIENCE, Appends
from openfuse_collector.receivers.requests.body import inflate_body, read_body
from openfuse_collector.receivers.requests.in_flight import Hold, InFlight
from openfuse_collector.receivers.requests.sdk import sdk_of
from openfuse_collector.signals import Origin, Signal

INLINE = 256 * 1024
"""Bodies of up to so many bytes are validated on the event loop, where that takes a few milliseconds."""


class LangfuseApi:
    """Lives on one event loop."""

    def __init__(self, settings: Settings, config: LangfuseConfig, intake: Intake) -> None:
        self.settings = settings
        self.config = config
        self.authenticator: Authenticator = settings.extension("api_keys") or OpenDoor()
        self.stopping = False
        self.happenings = Happenings(settings)
        self.in_flight = InFlight(config.max_in_flight, settings.memory)
        self.threads = ThreadPoolExecutor(2, thread_name_prefix="langfuse")
        """For bodies too large to inflate or validate on the event loop."""
        self.appends = Appends(intake)
        self.patience = PATIENCE
        """Seconds a call waits for the journal."""
        self.refused_calls = RefusedCalls()

    async def take(self, request: web.Request, read: Read, scope: Scope = Scope.SCORES) -> web.Response:
        """A call that brings data, answered once that is durable. `scope` is the least a key must be good for."""
        identity = await self.identify(request, scope)
        received_at = time.time_ns()
        rate = self.config.sampling.get(identity.project_id)
        size = request.content_length or 1
        if size > self.config.max_request_body_size:  # for good, whatever else is in flight
            raise TooLargeError(self.config.max_request_body_size)
        self.in_flight.check(size)
        with self.in_flight.hold() as hold:
            body = await self.body(request, hold)
            ids = CallIds(self.refused_calls, identity.project_id, request.path, body)
            judged = await self._judge(body, Context(identity.project_id, identity.scope, received_at, rate, ids), read)
            await self._keep(request, identity, received_at, judged, ids)
        return reply(judged.answer, judged.status)

    async def projects(self, request: web.Request) -> web.Response:
        """The project of the key. This is what `auth_check()` of the SDKs asks."""
        identity = await self.identify(request)
        if identity.scope is not Scope.PROJECT:
            raise forbidden("Invalid API key. Are you using an organization key?")
        name = identity.project_name or identity.project_id
        organization = {"id": "openfuse-collector", "name": "openfuse-collector"}
        project = {"id": identity.project_id, "name": name, "organization": organization, "metadata": {}}
        return reply({"data": [project]})

    async def health(self, request: web.Request) -> web.Response:
        """This process answers."""
        return reply({"status": "OK", "version": __version__})

    async def ready(self, request: web.Request) -> web.Response:
        """Whether data is taken."""
        if self.stopping:
            return reply({"status": "SIGTERM / SIGINT received, shutting down", "version": __version__}, 500)
        if not self.settings.health.ready:
            return reply({"status": "Service Unavailable", "version": __version__}, 503)
        return await self.health(request)

    async def identify(self, request: web.Request, least: Scope = Scope.SCORES) -> Identity:
        """Who is calling. Raises AuthError, ForbiddenError."""
        return await identify(self.authenticator, request.headers, least)

    async def body(self, request: web.Request, hold: Hold) -> bytes:
        """The body without its Content-Encoding. Raises BadDataError, TooLargeError, RetryableError, also when the receiver stops."""
        if self.stopping:
            raise OverloadError("the collector is shutting down")
        limit = self.config.max_request_body_size
        coding = request.headers.get("Content-Encoding", "").strip().lower()
        body = await read_body(request, limit, hold, self.config.read_timeout or None)
        return await inflate_body(body, coding, limit, hold, self.threads)

    def failure(self, error: Exception) -> web.Response:
        """Count and log an error, and answer it."""
        if isinstance(error, RetryableError):
            self.happenings.turned_away(str(error))
            return later(error)
        answer = answer_of(error)
        if answer is None:
            self.happenings.broke(error)
            return reply(INTERNAL, HTTPStatus.INTERNAL_SERVER_ERROR)
        self.happenings.not_taken(answer)
        return reply(answer.body, answer.status)

    async def _judge(self, body: bytes, context: Context, read: Read) -> Judged:
        if len(body) <= INLINE:
            return read(body, context)
        return await asyncio.get_running_loop().run_in_executor(self.threads, read, body, context)

    async def _keep(
        self, request: web.Request, identity: Identity, received_at: int, judged: Judged, ids: CallIds
    ) -> None:
        events = judged.accepted.events
        if not events:
            self.happenings.read(judged)
        else:
            sdk = sdk_of(request.headers)
            receiver = str(self.settings.id)
            origin = Origin(Signal.EVENTS, receiver, received_at, identity.project_id, identity.public_key, *sdk)
            count = partial(self.happenings.appended, judged)
            try:
                await self.appends.keep(origin, judged.payload, events, len(events), count, self.patience)
            except Exception:
                ids.leave()
                raise
        self.happenings.succeeded()
