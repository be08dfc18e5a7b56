"""docs/mapping.md says what the tables say: its generated part is fresh and its examples cover every vocabulary."""

from __future__ import annotations

import importlib.util
import pkgutil
from pathlib import Path
from types import ModuleType

from openfuse_collector.mapping import vocabularies

ROOT = Path(__file__).parents[2]


def script() -> ModuleType:
    """scripts/mapping_docs.py as a module."""
    spec = importlib.util.spec_from_file_location("mapping_docs", ROOT / "scripts" / "mapping_docs.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_generated_part_is_fresh() -> None:
    docs = script()
    text = docs.DOCS.read_text(encoding="utf-8")
    assert docs.written(text) == text, "stale: run `make docs`"


def test_every_vocabulary_has_an_example_that_shows_something() -> None:
    docs = script()
    names = {module.name for module in pkgutil.iter_modules(vocabularies.__path__)}
    assert {path.stem for path in docs.EXAMPLES.glob("*.json")} == names


def test_every_rule_has_its_vocabulary() -> None:
    """`any` is for the one rule that belongs to nobody: a model means a generation."""
    docs = script()
    owners = docs.owners_of_rules()
    unowned = [rule for _, _, ordered in docs.RULED for rule in ordered if id(rule) not in owners]
    assert unowned == [docs.rules.MODEL_MEANS_GENERATION]
