"""What rules are called where people read of them."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from functools import cache
from types import ModuleType
from typing import Any

from openfuse_collector.mapping import rules, vocabularies
from openfuse_collector.mapping.rule import Rule


def rule_name(rule: Rule[Any]) -> str:
    """`gen_ai.MESSAGES`; rules without a name of their own are `gen_ai.VOCABULARY.content[2]`."""
    return _names_of_rules()[id(rule)]


@cache
def _names_of_rules() -> dict[int, str]:
    names: dict[int, str] = {}
    for found in pkgutil.iter_modules(vocabularies.__path__):
        module = importlib.import_module(f"{vocabularies.__name__}.{found.name}")
        vocabulary = getattr(module, "VOCABULARY", None)
        for part in dataclasses.fields(vocabulary) if vocabulary else ():
            for place, rule in enumerate(getattr(vocabulary, part.name)):
                names[id(rule)] = f"{found.name}.VOCABULARY.{part.name}[{place}]"
        names |= _named_in(module)
    return names | _named_in(rules)


def _named_in(module: ModuleType) -> dict[int, str]:
    short = module.__name__.rpartition(".")[2]
    return {id(value): f"{short}.{name}" for name, value in vars(module).items() if isinstance(value, Rule)}
