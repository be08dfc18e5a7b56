"""The way of a request from its bytes to the journal, the same for every transport."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from openfuse_collector.auth import Authenticator, OpenDoor
from openfuse_collector.component import Intake, Settings
from openfuse_collector.pdata.decoded import NeedsRepairError
from openfuse_collector.pdata.errors import DeadlineError, TooLargeError
from openfuse_collector.pdata.exports import Export, read_export
from openfuse_collector.pdata.forms import FORMS, Form
from openfuse_collector.pdata.status import Failure, failure_of
from openfuse_collector.receivers.otlp.encodings import Encoding
from openfuse_collector.receivers.otlp.sender import Sender, sender_of
from openfuse_collector.receivers.otlp.telemetry import Happenings
from openfuse_collector.receivers.requests.appends import PATIENCE, Appends, LateError
from openfuse_collector.receivers.requests.in_flight import InFlight
from openfuse_collector.signals import Origin, Signal


class Shared:
    """What the transports of one receiver have in common."""

    def __init__(self, settings: Settings, intake: Intake, max_in_flight: int) -> None:
        self.settings = settings
        self.authenticator: Authenticator = settings.extension("api_keys") or OpenDoor()
        self.in_flight = InFlight(max_in_flight, settings.memory)
        self.threads = ThreadPoolExecutor(2, thread_name_prefix="otlp")
        """For bodies too large to decompress or decode on the event loop."""
        self.forms = tuple(form for form in FORMS if form.signal in intake.signals)
        """The signals that somebody takes; the others are refused, because what nobody reads would be lost."""
        self.appends = Appends(intake)

    async def drain(self, seconds: float) -> None:
        """Wait for the journal, then release the threads."""
        await self.appends.drain(seconds)
        self.threads.shutdown(wait=False)


def not_taken(signal: Signal, taken: Collection[Signal]) -> str:
    """The sentence for senders of a signal nobody takes."""
    known = " and ".join(taken) or "nothing"
    if any(form.signal is signal for form in FORMS):
        return f"{signal} are not taken: no {signal} pipeline names this receiver, {known} are"
    return f"{signal} are not taken by this collector, only {known} are"


class Ingest:
    """One transport's way in."""

    def __init__(self, shared: Shared, transport: str) -> None:
        self.shared = shared
        self.happenings = Happenings(shared.settings, transport)
        self._receiver = str(shared.settings.id)

    async def admit(self, headers: Mapping[str, str], limit: int, size: int | None = None) -> Sender:
        """Who is sending, before a body of `size` bytes, where that is known, is read.

        Raises TooLargeError beyond the `limit` of a request, whatever else is in flight; OverloadError when there is no room now.
        """
        sender = await sender_of(headers, self.shared.authenticator)
        if size is not None and size > limit:
            raise TooLargeError(limit)
        self.shared.in_flight.check(size or 1)
        return sender

    async def receive(
        self, body: bytes, form: Form, encoding: Encoding, sender: Sender, seconds: float | None = None
    ) -> Export:
        """Decode, check and keep a request; returns once it is durable. `seconds` is what is left of the client's deadline.

        Raises BadDataError, RetryableError (DeadlineError, OverloadError), and whatever else the journal raises.
        """
        received_at = time.time_ns()
        export = await self._read(body, form, encoding)
        if export.items:
            await self._keep(self._origin(form, received_at, sender), export, seconds)
        else:
            self.happenings.read(export)
        if export.items or export.rejected:
            self.happenings.succeeded()
        return export

    def unsuccessful(self, error: Exception) -> Failure:
        """Count and log an error, and give the answer to it."""
        failure = failure_of(error)
        self.happenings.unsuccessful(failure, error)
        _let_go(error)
        return failure

    async def _read(self, body: bytes, form: Form, encoding: Encoding) -> Export:
        """Decode and check: here what is small and sound, in a thread what is large or has to be repaired."""
        if len(body) <= encoding.inline:
            try:
                return read_export(body, form, encoding.quick)
            except NeedsRepairError:
                pass
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.shared.threads, read_export, body, form, encoding.decode)

    def _origin(self, form: Form, received_at: int, sender: Sender) -> Origin:
        identity = sender.identity
        return Origin(
            signal=form.signal,
            receiver=self._receiver,
            received_at=received_at,
            project_id=identity.project_id,
            public_key=identity.public_key,
            sdk_name=sender.sdk.name,
            sdk_version=sender.sdk.version,
        )

    async def _keep(self, origin: Origin, export: Export, seconds: float | None) -> None:
        patience = PATIENCE if seconds is None else min(seconds, PATIENCE)
        count = partial(self.happenings.appended, export)
        try:
            await self.shared.appends.keep(origin, export.payload, export.request, export.items, count, patience)
        except LateError as error:
            if seconds is not None and seconds <= PATIENCE:
                raise DeadlineError("the journal did not answer before the deadline of the request") from error
            raise


def _let_go(error: BaseException | None) -> None:
    """Traces of errors keep the frames they went through, and with them whole requests, until cycles are collected."""
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__
