"""The figures of a run of the fault tests, as the table of docs/reliability.md. `make faults`, or

    python -m pytest tests/faults -m faults --junitxml=faults.xml && python -m tests.faults.figures faults.xml

One line a test, over all its parameters; none for a test that counts nothing. A failure has a line in any case, and makes the exit
code 1.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from xml.etree import ElementTree

COLUMNS = (
    "process starts",
    "spans acknowledged",
    "requests sent again",
    "rows compared",
    "lost",
    "doubled",
    "unequal",
    "peak MiB",
)
"""What the tests tally; all but a peak are sums over the runs."""


@dataclass
class Line:
    """All runs of one test function."""

    runs: int = 0
    failed: int = 0
    tally: Counter[str] = field(default_factory=Counter)

    def add(self, case: ElementTree.Element) -> None:
        """One more run."""
        self.runs += 1
        self.failed += case.find("failure") is not None or case.find("error") is not None
        for item in case.iter("property"):
            name, value = item.attrib["name"], int(item.attrib["value"])
            self.tally[name] = max(self.tally[name], value) if name.startswith("peak") else self.tally[name] + value


def lines(cases: Iterable[ElementTree.Element]) -> dict[str, Line]:
    """By test, in words, file by file; skipped tests have none."""
    found: dict[str, Line] = {}
    for case in sorted(cases, key=lambda case: case.attrib["classname"]):
        if case.find("skipped") is None:
            name = case.attrib["name"].partition("[")[0].removeprefix("test_").replace("_", " ")
            found.setdefault(name, Line()).add(case)
    return found


def table(found: dict[str, Line]) -> Iterator[str]:
    """Markdown. A dash stands where a test has nothing to count."""
    yield f"| Test | runs | {' | '.join(COLUMNS)} |"
    yield "|---" * (2 + len(COLUMNS)) + "|"
    for name, line in found.items():
        if not line.tally and not line.failed:
            continue
        runs = f"{line.runs}, {line.failed} FAILED" if line.failed else str(line.runs)
        figures = (f"{line.tally[column]:,}" if column in line.tally else "–" for column in COLUMNS)
        yield f"| {name} | {runs} | {' | '.join(figures)} |"


def main(path: str) -> int:
    """Print the table of a JUnit report."""
    found = lines(ElementTree.parse(path).iter("testcase"))  # our own pytest wrote it
    print("\n".join(table(found)))
    return 1 if any(line.failed for line in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
