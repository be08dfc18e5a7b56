"""What can happen to a call of the Langfuse API: one method per happening, its metrics and its log line in one place."""

from __future__ import annotations

from typing import get_args

from prometheus_client import Counter

from openfuse_collector.component import Settings
from openfuse_collector.receivers.langfuse import METRICS
from openfuse_collector.receivers.langfuse.calls import Judged
from openfuse_collector.receivers.langfuse.failures import AnswerError
from openfuse_collector.receivers.requests.appends import Outcome
from openfuse_collector.telemetry.limited import QUIET, Limited

TRANSPORT = "http"
SHOWN = 1000
"""Characters the log shows of an id, or of what is wrong: an id may be as long as a body."""


class Happenings:
    """Counters and log of one receiver."""

    def __init__(self, settings: Settings) -> None:
        self._log = Limited(settings.log, QUIET)
        id = str(settings.id)

        def counter(what: str) -> Counter:
            name = f"openfuse_receiver_{what}_events"
            return settings.metrics.counter(name, METRICS[name], ("receiver",)).labels(id)

        self._events = {outcome: counter(outcome) for outcome in get_args(Outcome)}
        self._rejected, self._sampled_out = counter("rejected"), counter("sampled_out")
        name = "otelcol_receiver_requests"
        requests = settings.metrics.counter(name, METRICS[name], ("receiver", "transport", "outcome"))
        self._requests = {
            outcome: requests.labels(id, TRANSPORT, outcome) for outcome in ("success", "refused", "failure")
        }

    def read(self, judged: Judged) -> None:
        """A call is done with; some of its events may have been refused or left out."""
        if judged.rejected:
            self._rejected.inc(judged.rejected)
            first = {
                key: value[:SHOWN] if type(value) is str else value for key, value in judged.answer["errors"][0].items()
            }
            self._warn("events rejected", count=judged.rejected, first=first)
        if judged.accepted.sampled_out:
            self._sampled_out.inc(judged.accepted.sampled_out)

    def appended(self, judged: Judged, outcome: Outcome) -> None:
        """This has become of its good events. The others are done with only where these are kept: else all come again."""
        self._events[outcome].inc(len(judged.accepted.events))
        if outcome == "accepted":
            self.read(judged)

    def succeeded(self) -> None:
        """A call was answered with success."""
        self._requests["success"].inc()

    def turned_away(self, reason: str) -> None:
        """A call was told to come back later."""
        self._requests["refused"].inc()
        self._warn("request refused", error=reason)

    def not_taken(self, answer: AnswerError) -> None:
        """A call was answered with an error of the sender's making."""
        self._requests["failure"].inc()
        self._rejected.inc(answer.rejected)
        self._warn("request failure", status=int(answer.status), error=str(answer))

    def broke(self, error: BaseException) -> None:
        """A call met a bug of ours."""
        self._requests["failure"].inc()
        self._log.error(type(error).__name__, "request failed", transport=TRANSPORT, exc_info=error)

    def _warn(self, sentence: str, **fields: object) -> None:
        self._log.warning(sentence, sentence, transport=TRANSPORT, **fields)
