"""Writes the built-in price table: facts -> data/models.yaml (for people) -> data/models.json (for the collector).

python -m scripts.prices FACTS.json    take over new facts, then compile
python -m scripts.prices               compile models.yaml after it was edited by hand
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import yaml

from openfuse_collector.config.nodes import Problem
from openfuse_collector.config.parse import parse
from openfuse_collector.config.unmarshal import unmarshal
from openfuse_collector.pricing.built_in import DATA
from openfuse_collector.pricing.entry import DEFAULT_TIER, Table
from openfuse_collector.pricing.model import Model
from openfuse_collector.pricing.patterns import compiled

HEADER = """\
# The built-in price table, one entry a model. `python -m scripts.prices` compiles it to models.json, which is what runs.
# Prices are US dollars per million units of a usage key (tokens, unless the key says otherwise). A tier applies while all
# its conditions hold, the first that fits wins, else the model's own prices. Fields: docs/pricing.md.
"""


def main(arguments: list[str]) -> None:
    """Take over facts if a file is named, then compile."""
    readable = DATA / "models.yaml"
    if arguments:
        readable.write_text(written(Path(arguments[0]).read_text()))
    (DATA / "models.json").write_bytes(compact(read(readable.read_text(), str(readable))))


def written(facts: str) -> str:
    """The readable table of a facts file: its decimals are taken as written, never through a float."""
    table = json.loads(facts, parse_float=Decimal)
    models = [_entry(model) for model in table["models"]]
    document = {"source": table["source"], "models": models}
    text = yaml.dump(document, sort_keys=False, allow_unicode=True, width=160, default_flow_style=None)
    # Prices are read as the text they are written in, so they need no quotes.
    return HEADER + re.sub(r"(?<=: )'(\d+(?:\.\d+)?)'", r"\1", text)


def read(text: str, source: str = "models.yaml") -> list[Model]:
    """The models of a readable table. Raises ValueError with one located line per mistake."""
    problems: list[Problem] = []
    root = parse(text, source, problems)
    if root is not None:
        table, mistakes = unmarshal(root, Table)
        if table is not None and not mistakes:
            return [_with_needles(entry.model()) for entry in table.models]
        problems += mistakes
    raise ValueError("\n".join(map(str, problems)))


def compact(models: Iterable[Model]) -> bytes:
    """What the collector decodes: one line a model, prices as whole attodollars."""
    lines = (msgspec.json.encode(model) for model in models)
    return b"[\n" + b",\n".join(lines) + b"\n]\n"


def _entry(facts: dict[str, Any]) -> dict[str, Any]:
    default, *others = sorted(facts["tiers"], key=lambda tier: (not tier["is_default"], tier["priority"]))
    if not default["is_default"] or default["name"] != DEFAULT_TIER or any(tier["is_default"] for tier in others):
        raise ValueError(f"{facts['model_name']}: expected one default tier, called {DEFAULT_TIER}")
    entry = {"name": facts["model_name"], "id": facts["id"], "match": facts["match_pattern"]}
    if facts["start_date"]:
        entry["start"] = facts["start_date"][:10]
    if facts["tokenizer_id"]:
        entry["tokenizer"] = _tokenizer(facts["tokenizer_id"], facts["tokenizer_config"] or {})
    entry["prices"] = _prices(default["prices"])
    if others:
        entry["tiers"] = [_tier(tier) for tier in others]
    return entry


def _tokenizer(name: str, config: dict[str, Any]) -> dict[str, Any]:
    options = {
        "name": name,
        "model": config.get("tokenizerModel"),
        "tokens_per_message": config.get("tokensPerMessage"),
        "tokens_per_name": config.get("tokensPerName"),
    }
    return {key: value for key, value in options.items() if value is not None}


def _tier(facts: dict[str, Any]) -> dict[str, Any]:
    when = [_condition(condition) for condition in facts["conditions"]]
    return {"name": facts["name"], "id": facts["id"], "when": when, "prices": _prices(facts["prices"])}


def _condition(facts: dict[str, Any]) -> dict[str, Any]:
    if "source" in facts:
        source = facts["source"].removesuffix("s")  # model_parameters -> model_parameter
        return {source: facts["key"], "in": facts["values"]}
    condition = {"usage": facts["usageDetailPattern"], "operator": facts["operator"], "value": facts["value"]}
    return {**condition, **({"case_sensitive": True} if facts["caseSensitive"] else {})}


def _prices(facts: dict[str, Decimal]) -> dict[str, str]:
    return {key: f"{(Decimal(price) * 10**6).normalize():f}" for key, price in facts.items()}


def _with_needles(model: Model) -> Model:
    return msgspec.structs.replace(model, needles=needles(model.match))


def needles(pattern: str) -> tuple[str, ...]:
    """Lower-case texts one of which is in every name the pattern finds; empty when there are none worth looking for.

    `(gpt-)(35|3.5)(-turbo)` gives `-turbo`. Read from the parsed pattern, so that it cannot disagree with it.
    """
    # Standard library, but private: there is no public parser of patterns. The tests prove what comes out of it.
    from re import _parser  # type: ignore[attr-defined]

    found = _needles(_parser.parse(compiled(pattern).pattern)) or set()
    return tuple(sorted(found)) if all(map(str.isascii, found)) else ()


def _needles(parsed: Iterable[tuple[Any, Any]]) -> set[str] | None:
    """The best of the sets that the parts of a sequence offer: the one whose shortest text is longest."""
    offers = [offer for offer in _offers(parsed) if offer]
    return max(offers, key=lambda offer: min(map(len, offer)), default=None)


def _offers(parsed: Iterable[tuple[Any, Any]]) -> Iterator[set[str] | None]:
    run = ""
    for operation, argument in parsed:
        name = str(operation)
        if name == "LITERAL":
            run += chr(argument).lower()
            continue
        if run:
            yield {run}
        run = ""
        if name == "SUBPATTERN":
            yield _needles(argument[-1])
        elif name == "MAX_REPEAT" and argument[0] > 0:
            yield _needles(argument[2])
        elif name == "BRANCH":
            branches = [_needles(branch) for branch in argument[1]]
            yield None if None in branches else {text for branch in branches if branch for text in branch}
    if run:
        yield {run}


if __name__ == "__main__":
    main(sys.argv[1:])
