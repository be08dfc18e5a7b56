"""Configurations made to do harm: each ends in located sentences, soon, whatever it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from openfuse_collector.config.parse import MOST_DEPTH, MOST_NODES
from openfuse_collector.config.service import load
from openfuse_collector.errors import ConfigError


def aliases(line: str, levels: int) -> str:
    """Lines `a1`, `a2`, … each made of ten of the one before."""
    lines = (f"a{n}: &a{n} " + line.format(",".join([f"*a{n - 1}"] * 10)) for n in range(1, levels))
    return "a0: &a0 {x: [1]}\n" + "\n".join(lines)


TOO_DEEP = f"nested more than {MOST_DEPTH} levels deep"
TOO_MANY = f"aliases make this more than {MOST_NODES:,} values"
HOSTILE = {
    "lists in lists": ("receivers: " + "[" * 200_000 + "]" * 200_000, TOO_DEEP),
    "lists never closed": ("receivers: " + "[" * 200_000, TOO_DEEP),
    "maps in maps": ("receivers: " + "{a: " * 5000 + "1" + "}" * 5000, TOO_DEEP),
    "a billion laughs": (aliases("[{}]", 12), TOO_MANY),
    "a billion merged maps": (aliases("{{<<: [{}]}}", 12), TOO_MANY),
    "aliases in a row": ("a0: &a0 [x]\n" + "\n".join(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 500)), TOO_MANY),
    "a number of 5000 digits": ("service: {shutdown_timeout: " + "9" * 5000 + "}", "service::shutdown_timeout"),
    "control characters": ('service: "\\e[31m\\n\\0"', 'got the text "\\x1b[31m\\n\\x00"'),
    "half a character": ('service: "\\ud800"', "invalid Unicode character"),
    "an object of Python": ("service: !!python/object/apply:os.system [reboot]", "service: expected a map, got a list"),
}


@pytest.mark.parametrize("text, expected", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile(text: str, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load([str(path)])
    assert any(expected in problem for problem in caught.value.problems), caught.value.problems[:3]
    assert all(str(path) in problem and problem.isprintable() for problem in caught.value.problems)
