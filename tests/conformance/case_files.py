"""Reading case files: one JSON object a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.conformance.outcomes import Case

UNDEFINED = "__undefined__"
"""How the recordings write JavaScript's undefined (spec/ingestion.md 8)."""


def read_cases(path: Path) -> list[Case]:
    """The cases of a file, as written."""
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def case_files(paths: list[Path]) -> list[Path]:
    """The case files among files and folders, folders in the order of names."""
    return [file for path in paths for file in (sorted(path.glob("*.jsonl")) if path.is_dir() else [path])]


def defined(value: Any) -> Any:
    """A value without undefined: keys that have it go, in lists it becomes null, as JSON.stringify has it."""
    if isinstance(value, dict):
        return {key: defined(item) for key, item in value.items() if item != UNDEFINED}
    if isinstance(value, list):
        return [None if item == UNDEFINED else defined(item) for item in value]
    return value
