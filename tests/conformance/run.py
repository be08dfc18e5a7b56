"""Run Langfuse's recorded cases against this collector.

    python tests/conformance/run.py [--show] [--deviations] PATH...

PATH is a case file or a folder of `*.jsonl`; the name of a file says what is in it. Per file: `N passed, M failed,
K deviations`, facts for the mapping of spans (conformance/otel), cases for everything else. --show lists what failed,
--deviations the reasons of what differs on purpose. What cannot run here (token counts without vocabularies) is counted
apart and said. Exit status 1 when anything failed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that it also runs as a file

from tests.conformance import ingestion_cases, otel_cases
from tests.conformance.case_files import case_files, read_cases
from tests.conformance.outcomes import ABSENT, Case, Difference, Outcome, Run, Verdict


def run_of(path: Path, cases: list[Case]) -> Run:
    """What runs the cases of a file, by its name, else by its cases. Raises ValueError when nothing does."""
    kind = ingestion_cases.kind_of(path)
    if kind is not None:
        return partial(ingestion_cases.outcomes, kind)
    if all(isinstance(case.get("expected"), list) for case in cases):
        return otel_cases.outcomes
    raise ValueError(f"{path}: no runner for cases of this kind")


def run_file(path: Path) -> list[Outcome]:
    """Outcomes of all cases of a file. Raises ValueError when it is of no known kind."""
    cases = read_cases(path)
    run = run_of(path, cases)
    return [outcome for case in cases for outcome in run(case)]


def summary(counts: Counter[Verdict]) -> str:
    """`N passed, M failed, K deviations`, and what could not run."""
    not_run = counts[Verdict.NOT_RUN]
    stated = f"{counts[Verdict.PASSED]} passed, {counts[Verdict.FAILED]} failed, {counts[Verdict.DEVIATION]} deviations"
    return f"{stated}, {not_run} NOT RUN" if not_run else stated


def lines_of(difference: Difference) -> tuple[str, str, str]:
    """A difference for people."""
    got = "nothing" if difference.got is ABSENT else json.dumps(difference.got, default=str)[:400]
    return f"    {difference.what}", f"      want {json.dumps(difference.want, default=str)[:400]}", f"      got  {got}"


def show_failures(results: list[Outcome]) -> None:
    """What failed, with the differences."""
    for result in results:
        if result.verdict is Verdict.FAILED:
            print(f"  {result.case}")
            for difference in result.differences:
                print("\n".join(lines_of(difference)))


def show_reasons(results: list[Outcome], verdict: Verdict) -> None:
    """Every reason of a verdict, with the number of outcomes it has."""
    for reason, number in Counter(result.reason for result in results if result.verdict is verdict).items():
        print(f"  {number} {verdict}: {reason}")


def main(arguments: list[str] | None = None) -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--show", action="store_true", help="list what failed")
    parser.add_argument("--deviations", action="store_true", help="list why what differs need not hold")
    chosen = parser.parse_args(arguments)
    total: Counter[Verdict] = Counter()
    for path in case_files(chosen.paths):
        try:
            results = run_file(path)
        except (OSError, ValueError) as error:
            parser.error(str(error))
        counts = Counter(result.verdict for result in results)
        total += counts
        print(f"{path.name}: {summary(counts)}")
        show_reasons(results, Verdict.NOT_RUN)
        if chosen.deviations:
            show_reasons(results, Verdict.DEVIATION)
        if chosen.show:
            show_failures(results)
    print(f"total: {summary(total)}")
    return 1 if total[Verdict.FAILED] else 0


if __name__ == "__main__":
    sys.exit(main())
