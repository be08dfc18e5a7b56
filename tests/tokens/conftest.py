"""One made-up vocabulary for all tests of a run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import made_up_vocabulary


@pytest.fixture(scope="session")
def vocabularies_at(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a cl100k_base and a claude vocabulary."""
    directory = tmp_path_factory.mktemp("vocabularies")
    for encoding in ("cl100k_base", "claude"):
        made_up_vocabulary.write(directory, encoding)
    return directory


@pytest.fixture(autouse=True)
def no_cache_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIKTOKEN_CACHE_DIR", raising=False)
