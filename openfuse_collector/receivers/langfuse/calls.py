"""Each call that brings data, from the bytes of its body to events and the answer. Pure but for the ids of what has none."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec

from openfuse_collector.auth import Scope
from openfuse_collector.events.depth import is_deep, may_be_deep
from openfuse_collector.events.text import cleaned, parse_json
from openfuse_collector.pdata.dense import check_json
from openfuse_collector.pdata.errors import BadDataError
from openfuse_collector.receivers.langfuse.deprecated import legacy_event
from openfuse_collector.receivers.langfuse.failures import AnswerError, invalid_request, unfit
from openfuse_collector.receivers.langfuse.ingestion import MOST_TEXT, NOT_LISTED, Accepted, accept
from openfuse_collector.receivers.langfuse.records import encode_events
from openfuse_collector.receivers.langfuse.repeats import GiveIds, chance_ids
from openfuse_collector.receivers.langfuse.schemas.issues import MISSING, Issue, sentence, wrong_type
from openfuse_collector.receivers.langfuse.scores import score_event

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


MOST_ELEMENTS = 10_000
"""Of a batch. SDKs send 15 to 100."""


class Context(NamedTuple):
    """What a call is judged by, beside its body."""

    project_id: str
    scope: Scope
    received_at: int
    """Epoch nanoseconds."""
    rate: float | None
    """Share of the project's traces to keep, None for all."""
    give_ids: GiveIds = chance_ids
    """For scores and the deprecated endpoints."""


class Judged(NamedTuple):
    """What becomes of a call."""

    accepted: Accepted
    payload: bytes
    """The accepted events as the journal keeps them."""
    status: int
    answer: Any
    rejected: int
    """Events that were no good."""


Read = Callable[[bytes, Context], Judged]
"""Raises BadDataError, TooManyError and AnswerError when nothing of the call can be taken."""


def ingestion(body: bytes, context: Context) -> Judged:
    """`{"batch": [event…]}` -> 207 `{"successes": […], "errors": […]}`."""
    accepted = _accept(_batch_of(parse_body(body)), context)
    return _judged(accepted, HTTPStatus.MULTI_STATUS, accepted.response, len(accepted.response["errors"]))


def scores(body: bytes, context: Context) -> Judged:
    """A score -> `{"id"}`; an array of scores -> 202, or 207 with a sentence per score that was not taken."""
    value = parse_body(body)
    if type(value) is list:
        return _score_array(_bounded(value), context)
    return _single(score_event(value, iso(context.received_at), context.give_ids), context)


def deprecated(method: str, resource: str) -> Read:
    """The reader of a deprecated endpoint: an object -> `{"id"}`."""

    def read(body: bytes, context: Context) -> Judged:
        event = legacy_event(method, resource, parse_body(body), iso(context.received_at), context.give_ids)
        return _single(event, context)

    return read


def parse_body(body: bytes) -> Any:
    """The JSON value of a body, what is nested too deeply in it as text. Raises BadDataError, TooManyError.

    JavaScript writes lone surrogates and numbers beyond what a double holds; bodies with such a thing take the slow way,
    on which text is made storable.
    """
    check_json(body)
    try:
        value = _decode(body)
        if not (may_be_deep(body) and is_deep(value)):
            return value
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        value = cleaned(parse_json(body.decode("utf-8", "replace")))
        return _decode(_encode(value))  # infinities become null, as JavaScript writes them
    except ValueError as error:
        raise BadDataError(f"the body is not valid JSON: {error}") from error


def iso(received_at: int) -> str:
    """Epoch nanoseconds as an ISO-8601 timestamp of milliseconds."""
    moment = datetime.fromtimestamp(received_at // 1_000_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{received_at // 1_000_000 % 1000:03d}Z"


def _batch_of(body: Any) -> list[Any]:
    if type(body) is not dict:
        raise invalid_request(wrong_type("object", body, ())["message"])
    batch = body.get("batch", MISSING)
    if type(batch) is not list:
        raise invalid_request(wrong_type("array", batch, ("batch",))["message"])
    return _bounded(batch)


def _bounded(elements: list[Any]) -> list[Any]:
    """Each refused element costs an answer of a hundred bytes, so there is a limit to their number."""
    if len(elements) > MOST_ELEMENTS:
        raise invalid_request(f"{len(elements)} events in one request, at most {MOST_ELEMENTS} are taken")
    return elements


def _score_array(scores: list[Any], context: Context) -> Judged:
    """SDKs do not send rejected scores again."""
    read = [score_event(score, iso(context.received_at), context.give_ids) for score in scores]
    good = [event for event in read if not isinstance(event, list)]
    bad = [(index, issues) for index, issues in enumerate(read) if isinstance(issues, list)]
    accepted = _accept(good, context)
    if not bad:
        return _judged(accepted, HTTPStatus.ACCEPTED, {"message": "Accepted"})
    answer = {"accepted": len(good), "rejected": len(bad), "errors": _score_errors(bad)}
    return _judged(accepted, HTTPStatus.MULTI_STATUS, answer, len(bad))


def _score_errors(bad: list[tuple[int, list[Issue]]]) -> list[dict[str, str]]:
    """One sentence per refused score; together no longer than those of a batch."""
    errors = []
    room = MOST_TEXT
    for index, issues in bad:
        what = "; ".join(map(sentence, issues)) if room > 0 else NOT_LISTED
        room -= len(what)
        errors.append({"message": f"Score {index}: {what}"})
    return errors


def _single(event: dict[str, Any] | list[Issue], context: Context) -> Judged:
    if isinstance(event, list):
        raise unfit(event)
    accepted = _accept([event], context)
    for error in accepted.response["errors"]:
        raise AnswerError(error["status"], {"message": error["message"], "error": error["error"]}, rejected=1)
    return _judged(accepted, HTTPStatus.OK, {"id": event["body"]["id"]})


def _accept(batch: list[Any], context: Context) -> Accepted:
    return accept(batch, context.project_id, context.received_at, context.scope, context.rate)


def _judged(accepted: Accepted, status: int, answer: Any, rejected: int = 0) -> Judged:
    return Judged(accepted, encode_events(accepted.events), status, answer, rejected)
