"""Fixtures of the configuration tests: a table of stand-in components, and YAML files in a directory of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest
from config_stand_ins import TABLE

from openfuse_collector import components

Write = Callable[[str, str], str]


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the component types of config_stand_ins exist."""
    monkeypatch.setattr(components, "BUILT_IN", dict(TABLE))


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a file in the working directory of the test and gives its name."""
    monkeypatch.chdir(tmp_path)

    def write_file(name: str, text: str) -> str:
        Path(name).write_text(dedent(text), encoding="utf-8")
        return name

    return write_file
