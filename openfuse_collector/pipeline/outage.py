"""What the log says while a destination does not take data: one line a minute and kind of trouble, and one when it is over."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from structlog.stdlib import BoundLogger

from openfuse_collector.errors import RetryableError
from openfuse_collector.telemetry.limited import EVERY, Limited


class Outage:
    """Attempts of one exporter, told as they end. An outage lasts from the first that failed to the next that did not."""

    def __init__(self, log: BoundLogger, every: float = EVERY, clock: Callable[[], float] = monotonic) -> None:
        self._log = log
        self._limited = Limited(log, every, clock)
        self._clock = clock
        self._began = 0.0
        self._attempts = 0
        self._told = False
        """Whether anybody has heard of this outage: only then its end is news."""

    def failed(self, error: RetryableError, retry_in: float) -> None:
        """An attempt failed; the next one comes in so many seconds."""
        if not self._attempts:
            self._began, self._told = self._clock(), False
        self._attempts += 1
        self._told |= self._limited.warning(
            error.kind,
            "export failed, will retry",
            error=str(error),
            attempts=self._attempts,
            failing_for=round(self._clock() - self._began, 1),
            retry_in=round(retry_in, 3),
            remedy="see to the destination; what waits is in the journal, and `/status` shows how much",
        )

    def succeeded(self) -> None:
        """An attempt did not fail."""
        if self._attempts and self._told:
            failed_for = round(self._clock() - self._began, 1)
            self._log.info("exporting works again", attempts=self._attempts, failed_for=failed_for)
        self._attempts = 0
