"""Damaged configurations: every one loads, or is refused with sentences that say where; nothing else is raised."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import yaml

from openfuse_collector.components import BUILT_IN, factory
from openfuse_collector.config.dump import dump
from openfuse_collector.config.service import load
from openfuse_collector.errors import ConfigError
from tests import scratch
from tests.fuzz.mutations import FLOATS, INTEGERS, TEXTS, flipped

SHIPPED = Path(__file__).resolve().parents[2] / "config"

_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_SYNTAX = (
    "&a ",
    "*a",
    "<<: *a",
    "!!python/object:os.system ",
    "!!binary ",
    "%YAML 9.9\n",
    "---\n",
    "...\n",
    "\t",
    "\0",
    "? ",
)
_MORE = (
    ": ",
    "- ",
    "{",
    "}",
    "[",
    "]",
    "|\n",
    ">-\n",
    "'",
    '"',
    "#",
    "\u2028",
    "\ufeff",
    "${env:",
    "${",
    "$$",
    "${file:/",
    "}",
)
_VALUES: tuple[Any, ...] = (
    *(text for text in TEXTS if len(text) < 500),
    *INTEGERS,
    *(number for number in FLOATS if number == number),
    *(None, True, [], {}, [[]], {"a": {"b": 1}}, "1h", "-1s", "4GiB", "1e400MiB", "::1:0", "localhost:99999", "[::]:1"),
    *("${env:NONE_SUCH}", "${env:HOME:-x}", "${env:}", "${nope:x}", "$${env:X}", "otlp/", "/x", "a/b/c", 2**80, 1.5),
)


def configurations() -> list[Any]:
    """The shipped files, and one with every component there is at its defaults."""
    shipped = [yaml.safe_load(path.read_text()) for path in sorted(SHIPPED.glob("*.yaml"))]
    whole = yaml.safe_load((SHIPPED / "default.yaml").read_text())
    for kind, name in BUILT_IN:
        whole.setdefault(kind.value, {}).setdefault(name, None)
    return [*shipped, whole, dump(load([str(SHIPPED / "default.yaml")]))]


def keys() -> list[str]:
    """Every setting of every component, for keys in wrong places."""
    found = {name for kind, type in BUILT_IN for name in factory(kind, type).config.__dataclass_fields__}
    return sorted(found | {"service", "pipelines", "receivers", "exporters", "otlp", "traces", "events/x", "a::b", ""})


class ConfigurationFuzz:
    """Executions by number."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._trees = configurations()
        self._keys = keys()
        self._file = scratch.directory() / "config.yaml"

    def text(self, number: int) -> bytes:
        """The file of an execution."""
        rng = random.Random(self._seed * 1_000_003 + number)
        tree = self._varied(rng.choice(self._trees), rng, rng.choice((0, 0.003, 0.01, 0.1)))
        text = yaml.dump(tree, Dumper=_Dumper, allow_unicode=rng.random() < 0.5, sort_keys=False)
        for _ in range(rng.choice((0, 0, 1, 3))):
            at = rng.randrange(len(text) + 1)
            text = text[:at] + rng.choice((*_SYNTAX, *_MORE)) + text[at + rng.randrange(3) :]
        body = text.encode(errors="surrogatepass")
        return flipped(body, rng) if rng.random() < 0.15 else body

    def kept(self, number: int) -> tuple[str, bytes]:
        """A file name's ending and content, for an execution that failed."""
        return "yaml", self.text(number)

    def execute(self, number: int) -> str:
        """Run one execution and say what became of it. Raises AssertionError, or whatever escapes."""
        self._file.write_bytes(self.text(number))
        return check_configuration(self._file)

    def _varied(self, node: Any, rng: random.Random, share: float) -> Any:
        if rng.random() < share:
            return rng.choice(_VALUES)
        if isinstance(node, dict):
            made = {key: self._varied(item, rng, share) for key, item in node.items() if rng.random() >= share / 2}
            if rng.random() < share:
                made[rng.choice(self._keys)] = rng.choice(_VALUES)
            return made
        return [self._varied(item, rng, share) for item in node] if isinstance(node, list) else node


def check_configuration(path: Path) -> str:
    """`accepted` when it loads, and what it says loads again; `refused` when every sentence says where it is."""
    try:
        config = load([str(path)])
    except ConfigError as error:
        assert error.problems, "refused without a reason"
        for problem in error.problems:
            assert str(path) in problem or "no configuration" in problem, f"no place in {problem!r}"
            assert problem.isprintable(), f"control characters in {problem!r}"
        return "refused"
    written = yaml.dump(dump(config, masked=False), Dumper=_Dumper, sort_keys=False)
    path.write_text(written)
    assert dump(load([str(path)]), masked=False) == dump(config, masked=False), "it loads otherwise than it was printed"
    return "accepted"
