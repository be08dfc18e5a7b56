"""Openfuse's cases (conformance/openfuse_cases.json, spec/openfuse.md 10): who judges each group, and where we differ on purpose.

Groups about rows are judged here, without a server. What a writer does over the wire is judged beside the store; `BESIDE_THE_STORE`
names the groups, and tests/exporters/greptimedb has a test for each of their cases.
"""

from __future__ import annotations

from tests.conformance import openfuse_rows, openfuse_spans, openfuse_values
from tests.conformance.outcomes import Case, Difference, Judge, Outcome, Verdict

JUDGES: dict[str, Judge] = {
    "raw_event_mapping": openfuse_rows.raw_event_mapping,
    "history_parse": openfuse_rows.history_parse,
    "sort": openfuse_rows.sort,
    "overwrite_merge": openfuse_rows.overwrite_merge,
    "score_replay": openfuse_values.score_replay,
    "cost": openfuse_values.cost,
    "read_contract": openfuse_values.read_contract,
    "otel": openfuse_spans.otel,
}
"""Group -> its judge."""

BESIDE_THE_STORE = frozenset(
    ("fanout", "usage_cost_rows", "error_class", "bisect", "truncate", "writer_behaviour", "end_to_end")
)

_NEVER_TRUNCATED = "nothing is cut: what is too large for the server is a dead letter, whole, and can be replayed"

DEVIATIONS: dict[tuple[str, str], str] = {
    ("raw_event_mapping", "no body id is not stored"): "such a body gets an id of its own, the same for every copy",
    ("overwrite_merge", "public resets"): "silence about `public` is no statement and keeps it",
    ("score_replay", "inflate annotation without config rejected"): "what was acknowledged is kept as it was sent",
    ("error_class", "schema"): "a missing table or column is created or waited for: the data is as good as ever",
    (
        "error_class",
        "resource exhausted",
    ): "retried; what the server calls too large has a class of its own, and is divided",
    ("fanout", "tombstone re-fanout"): "rows of a deleted entity are deleted, not written again with is_deleted",
    ("truncate", "string marker within cap"): _NEVER_TRUNCATED,
    ("truncate", "json sentinel"): _NEVER_TRUNCATED,
    ("truncate", "utf8 boundary"): _NEVER_TRUNCATED,
    ("truncate", "noop"): _NEVER_TRUNCATED,
    ("writer_behaviour", "oversize truncated and landed"): _NEVER_TRUNCATED,
    ("writer_behaviour", "one combined call"): "the client takes one table a call: one call for each table of a batch",
    ("writer_behaviour", "projection and EAV share a call"): (
        "the client takes one table a call: side rows go first and are seen once the projection row is there"
    ),
    (
        "writer_behaviour",
        "partial flush takes whole groups, at least one",
    ): "a batch is whole requests and written as a whole",
}
"""(group, name) -> why the case need not hold, or not to the letter."""


def outcome(case: Case) -> Outcome:
    """How a case of a group with a judge fares. A judge that raises has failed its case, not the run."""
    reason = DEVIATIONS.get((case["group"], case["name"]))
    if reason is not None:
        return Outcome(case["name"], Verdict.DEVIATION, reason=reason)
    try:
        found = JUDGES[case["group"]](case)
    except Exception as error:
        found = [Difference("judging", "an answer", f"{type(error).__name__}: {error}")]
    return Outcome(case["name"], Verdict.FAILED if found else Verdict.PASSED, tuple(found))
