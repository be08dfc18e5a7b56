"""Every vocabulary is registered and documented; its tables hold what the rest of the mapping understands."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from pathlib import Path

from openfuse_collector.mapping import rules, vocabularies
from openfuse_collector.mapping.rule import Vocabulary

NAMES = [module.name for module in pkgutil.iter_modules(vocabularies.__path__)]
DOCS = Path(__file__).parents[2] / "docs" / "mapping.md"


def test_every_vocabulary_is_registered() -> None:
    modules = [import_module(f"{vocabularies.__name__}.{name}") for name in NAMES]
    declared = [module.VOCABULARY for module in modules if hasattr(module, "VOCABULARY")]
    assert len(declared) >= 15
    assert {id(one) for one in declared} == {id(one) for one in rules.VOCABULARIES}
    assert all(isinstance(one, Vocabulary) for one in declared)


def test_every_vocabulary_is_documented() -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert [name for name in NAMES if f"`{name}`" not in text] == []
