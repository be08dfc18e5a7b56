"""Langfuse's recorded cases, from $OPENFUSE_SHARED or ../shared beside the checkout; tests skip loudly without them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.case_files import defined, read_cases

SHARED = Path(os.environ.get("OPENFUSE_SHARED") or Path(__file__).resolve().parents[2].parent / "shared")

needs_shared = pytest.mark.skipif(
    not (SHARED / "conformance").is_dir(), reason=f"NO CONFORMANCE DATA at {SHARED}: set OPENFUSE_SHARED"
)


def cases(name: str) -> list[dict[str, Any]]:
    """The cases of one file below conformance/ingestion, `__undefined__` values removed; [] where there is no data."""
    path = SHARED / "conformance" / "ingestion" / f"{name}.jsonl"
    if not path.is_file():
        return []
    return [defined(case) for case in read_cases(path)]


def openfuse_cases(group: str) -> list[dict[str, Any]]:
    """The cases of one group of openfuse_cases.json."""
    path = SHARED / "conformance" / "openfuse_cases.json"
    return [case for case in json.loads(path.read_text())["cases"] if case["group"] == group] if path.is_file() else []
