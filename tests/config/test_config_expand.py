"""References: their schemes, typing, defaults, nesting, escapes and bounds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfuse_collector.config.expand import expand, scan
from openfuse_collector.config.nodes import Node, Position, Problem, locate
from openfuse_collector.config.parse import parse


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    for name, text in {
        "PORT": "4317",
        "ZEROS": "0123",
        "HOST": "localhost",
        "EMPTY": "",
        "LIST": "[a, b]",
        "WHICH": "HOST",
        "OUTER": "<${env:HOST}>",
        "MONEY": "a$$b$c",
        "LOOP_A": "${env:LOOP_B}",
        "LOOP_B": "x${LOOP_A}",
        "ODD": "pa{ss: word",
        "HASH": "#secret",
    }.items():
        monkeypatch.setenv(name, text)
    monkeypatch.delenv("UNSET", raising=False)
    yield


def expanded(text: str) -> tuple[Node, list[str], list[str]]:
    problems: list[Problem] = []
    warnings: list[Problem] = []
    root = parse(text, "c.yaml", problems)
    assert root is not None
    node = expand(root, problems, warnings)
    return node, [str(problem) for problem in problems], [str(warning) for warning in warnings]


def value(text: str) -> Node:
    node, problems, warnings = expanded(f"a: {text}")
    assert (problems, warnings) == ([], [])
    assert isinstance(node.value, dict)
    return node.value["a"]


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("${env:PORT}", 4317),
        ("${PORT}", 4317),
        ("'${PORT}'", 4317),
        ("${env:HOST}:${env:PORT}", "localhost:4317"),
        ("${env:LIST}", ["a", "b"]),
        ("x${env:LIST}", "x[a, b]"),
        ("${env:UNSET:-5s}", "5s"),
        ("${UNSET:-5}", 5),
        ("${env:UNSET:-}", None),
        ("${env:EMPTY:-5s}", None),
        ("'${env:UNSET:-[1, 2]}'", [1, 2]),
        ("'${env:UNSET:-{a: 1}}'", {"a": 1}),
        ("${env:UNSET:-${env:UNSET:-${env:HOST}}}", "localhost"),
        ("${env:PORT:-${env:UNSET}}", 4317),
        ("${env:${env:WHICH}}", "localhost"),
        ("${env:OUTER}", "<localhost>"),
        ("'${yaml:{a: [1, 2]}}'", {"a": [1, 2]}),
        ("$${env:HOST}", "${env:HOST}"),
        ("$$${env:HOST}", "$localhost"),
        ("$$$${env:HOST}", "$${env:HOST}"),
        ("$HOST and $$ and $", "$HOST and $ and $"),
        ("${env:MONEY}", "a$b$c"),
    ],
)
def test_references(text: str, result: Any) -> None:
    assert value(text).plain() == result


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("${env:ZEROS}", "0123"),
        ("${env:LIST}", "[a, b]"),
        ("${env:EMPTY}", ""),
        ("${env:ODD}", "pa{ss: word"),
        ("${env:HASH}", "#secret"),
        ("no${env:ZEROS}", "no0123"),
    ],
)
def test_the_original_text_is_kept_for_text_fields(text: str, written: str) -> None:
    assert value(text).text == written


def test_a_file_is_a_value_or_a_piece_of_configuration(tmp_path: Path) -> None:
    Path("token").write_text("s3cr3t\n")
    Path("part.yaml").write_text("x: ${env:PORT}\ny:\n  - 1\n")
    node, problems, _ = expanded("a: ${file:token}\nb: ${file:part.yaml}\n")
    assert problems == []
    assert node.plain() == {"a": "s3cr3t", "b": {"x": 4317, "y": [1]}}
    assert locate(node, ("b",)) == Position("c.yaml", 2, 1)
    assert locate(node, ("b", "y")) == Position("part.yaml", 2, 1)


def test_a_certificate_keeps_its_lines() -> None:
    pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"
    Path("ca.pem").write_text(pem + "\n")
    assert value("${file:ca.pem}").text == pem


def test_an_unset_variable_is_a_warning_and_null() -> None:
    node, problems, warnings = expanded("a:\n  b: ${env:UNSET}\n")
    assert (node.plain(), problems) == ({"a": {"b": None}}, [])
    assert warnings == [
        "c.yaml:2: a::b: the environment variable UNSET is not set and the reference has no default: "
        "nothing stands in its place; set it, or write ${env:UNSET:-default}"
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("${env:LOOP_A}", "c.yaml:1: a: ${env:LOOP_A} refers to itself"),
        ("${env:1X}", 'c.yaml:1: a: "1X" is not the name of an environment variable'),
        ("${A-B}", 'c.yaml:1: a: "A-B" is not the name of an environment variable'),
        (
            "${vault:x}",
            'c.yaml:1: a: unknown scheme in "${vault:…}" (valid: env, file, yaml); for a literal $ write $$',
        ),
        ("'${env:HOST'", "c.yaml:1: a: a ${ is never closed; for a literal $ write $$"),
        ("${file:gone}", "c.yaml:1: a: the file gone cannot be read: No such file or directory"),
    ],
)
def test_mistakes(text: str, problem: str) -> None:
    assert expanded(f"a: {text}")[1] == [problem]


def test_variables_that_multiply_each_other_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("V0", "x")
    for level in range(1, 20):
        monkeypatch.setenv(f"V{level}", f"${{V{level - 1}}}${{V{level - 1}}}")
    problems = expanded("a: ${V19}")[1]
    assert problems == ["c.yaml:1: a: more than 10000 references were resolved up to here"]


def test_long_ways_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    for level in range(60):
        monkeypatch.setenv(f"W{level}", f"${{W{level + 1}}}")
    assert expanded("a: ${W0}")[1] == ["c.yaml:1: a: references lead to each other more than 50 deep"]
    nested = "${env:" * 200 + "HOST" + "}" * 200
    assert expanded(f"a: {nested}")[1][0] == "c.yaml:1: a: references lead to each other more than 50 deep"


@given(st.text(alphabet="${}ab:"))
def test_doubling_every_dollar_makes_any_text_literal(text: str) -> None:
    assert "".join(str(piece) for piece in scan(text.replace("$", "$$"))) == text
