"""What can happen to a request: one method per happening, its metrics and its log line in one place.

Log lines about senders are written at most once in ten seconds per kind, with the number of those left out.
"""

from __future__ import annotations

from typing import get_args

from prometheus_client import Counter

from openfuse_collector.component import Settings
from openfuse_collector.pdata.exports import Export
from openfuse_collector.pdata.forms import FORMS
from openfuse_collector.pdata.status import Failure
from openfuse_collector.receivers.otlp import METRICS
from openfuse_collector.receivers.requests.appends import Outcome
from openfuse_collector.signals import COUNTED
from openfuse_collector.telemetry.limited import QUIET, Limited

_LABELS = ("receiver", "transport")


class Happenings:
    """Counters and log of one transport of one receiver."""

    def __init__(self, settings: Settings, transport: str) -> None:
        self._log = Limited(settings.log, QUIET)
        self._transport = transport
        labels = (str(settings.id), transport)

        def counter(name: str) -> Counter:
            return settings.metrics.counter(name, METRICS[name], _LABELS).labels(*labels)

        words = [(form.signal, COUNTED[form.signal]) for form in FORMS]
        self._items = {
            outcome: {signal: counter(f"otelcol_receiver_{outcome}_{word}") for signal, word in words}
            for outcome in get_args(Outcome)
        }
        self._rejected = {signal: counter(f"openfuse_receiver_rejected_{word}") for signal, word in words}
        self._discarded = counter("openfuse_receiver_discarded_metrics_requests")
        self._repaired = counter("openfuse_receiver_repaired_strings")
        name = "otelcol_receiver_requests"
        requests = settings.metrics.counter(name, METRICS[name], (*_LABELS, "outcome"))
        self._requests = {outcome: requests.labels(*labels, outcome) for outcome in ("success", "refused", "failure")}

    def read(self, export: Export) -> None:
        """A request is done with; spans or log records may have been left out and strings changed."""
        if export.rejected:
            self._rejected[export.form.signal].inc(export.refused)
            self._warn(f"{export.form.noun} rejected", reasons=dict(export.rejected))
        if export.repaired:
            self._repaired.inc(export.repaired)
            self._warn("invalid Unicode replaced", strings=export.repaired)
        if export.notes:
            self._warn("request not as OTLP prescribes", notes=dict(export.notes))

    def appended(self, export: Export, outcome: Outcome) -> None:
        """This has become of its items. What was left out is left out for good only with those that are kept: else all come again."""
        self._items[outcome][export.form.signal].inc(export.items)
        if outcome == "accepted":
            self.read(export)

    def discarded(self) -> None:
        """A metrics export was answered with success and dropped, as Langfuse does."""
        self._discarded.inc()

    def succeeded(self) -> None:
        """A request that held something was answered with success."""
        self._requests["success"].inc()

    def unsuccessful(self, failure: Failure, error: BaseException) -> None:
        """A request was answered with an error."""
        self._requests[failure.outcome].inc()
        if failure.internal:
            self._log.error(type(error).__name__, "request failed", transport=self._transport, exc_info=error)
        else:
            self._warn(f"request {failure.outcome}", error=failure.message)

    def _warn(self, sentence: str, **fields: object) -> None:
        self._log.warning(sentence, sentence, transport=self._transport, **fields)
