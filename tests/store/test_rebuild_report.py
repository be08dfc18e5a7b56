"""What a rebuild tells stays bounded."""

from __future__ import annotations

from openfuse_collector.store.rebuild import KEPT_FAILURES, Report


def test_failures_are_counted_and_the_first_are_kept() -> None:
    report = Report()
    for number in range(KEPT_FAILURES + 5):
        report.fail(f"trace {number}", "cannot be folded")
    assert (report.failed, len(report.failures)) == (KEPT_FAILURES + 5, KEPT_FAILURES)
    assert report.failures[0] == "trace 0: cannot be folded"
