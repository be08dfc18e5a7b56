"""Damaged input for every parser: nothing may escape, nothing may go missing.

    python -m tests.fuzz.run [--parser otlp|ingestion|config] [--executions 200000] [--seed 1] [--only N]

`otlp`: traces and logs in protobuf and JSON through decoding, mapping, fold, enrichment and rows. `ingestion`: calls of the
Langfuse API through the schemas, the journal's form, fold and rows. `config`: YAML configurations through parsing and checks.

Execution N of a seed is always the same request (`--only N` runs it alone). Exit status 1 when one failed; its body is
written to a file whose name is printed.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from openfuse_collector.pdata.forms import Form
from tests.fuzz.checks import check
from tests.fuzz.configuration import ConfigurationFuzz
from tests.fuzz.ingestion import IngestionFuzz, captured, own
from tests.fuzz.mutations import Damage, flipped, json_body, with_bad_text
from tests.fuzz.seeds import Seed, chosen, corpus_seeds, keys_of, own_seeds

_THOROUGH = 8
"""One execution in so many compares with the reference fold."""


class Fuzz:
    """Executions by number."""

    def __init__(self, seed: int, seeds: list[Seed]) -> None:
        self._seed = seed
        self._seeds = seeds
        self._keys = keys_of(seeds)

    def body(self, number: int) -> tuple[bytes, Form, str]:
        """The request of an execution: bytes, form, encoding."""
        rng = random.Random(self._seed * 1_000_003 + number)
        form, request = chosen(self._seeds, rng)
        if rng.random() < 0.9:
            Damage(rng, self._keys).apply(form, request)
        encoding = rng.choice(("protobuf", "protobuf", "json"))
        body = request.SerializeToString() if encoding == "protobuf" else json_body(request, rng)
        draw = rng.random()
        if draw < 0.15:
            body = flipped(body, rng)
        elif draw < 0.25:
            body = with_bad_text(body, rng)
        return body, form, encoding

    def kept(self, number: int) -> tuple[str, bytes]:
        """A file name's ending and content, for an execution that failed."""
        body, form, encoding = self.body(number)
        return f"{form.signal}.{'pb' if encoding == 'protobuf' else 'json'}", body

    def execute(self, number: int) -> str:
        """Run one execution and say what became of it. Raises what `check` raises."""
        body, form, encoding = self.body(number)
        return check(body, form, encoding, thorough=number % _THOROUGH == 0)


class Target(Protocol):
    """One parser's executions by number; each is always the same."""

    def execute(self, number: int) -> str: ...

    def kept(self, number: int) -> tuple[str, bytes]: ...


def _otlp(seed: int) -> Target:
    return Fuzz(seed, corpus_seeds() or own_seeds())


def _ingestion(seed: int) -> Target:
    return IngestionFuzz(seed, captured() + own())


TARGETS: dict[str, Callable[[int], Target]] = {"otlp": _otlp, "ingestion": _ingestion, "config": ConfigurationFuzz}


def main() -> int:
    """Run, show progress, report."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--parser", choices=TARGETS, default="otlp")
    options.add_argument("--executions", type=int, default=200_000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--only", type=int)
    arguments = options.parse_args()
    target = TARGETS[arguments.parser](arguments.seed)
    if arguments.only is not None:
        print(target.execute(arguments.only))
        return 0
    return _run(target, arguments.executions)


def _run(fuzz: Target, executions: int) -> int:
    verdicts: Counter[str] = Counter()
    failures: dict[str, list[int]] = {}
    began = time.monotonic()
    for number in range(executions):
        try:
            verdicts[fuzz.execute(number)] += 1
        except Exception as error:
            verdicts["failed"] += 1
            where = traceback.extract_tb(error.__traceback__)[-1]
            kind = f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}: {str(error)[:120]}"
            failures.setdefault(kind, []).append(number)
            if len(failures[kind]) == 1:
                print(f"execution {number}: {kind}\n  {_kept(fuzz, number)}", flush=True)
        if (number + 1) % 10_000 == 0:
            rate = (number + 1) / (time.monotonic() - began)
            print(f"{number + 1:,} of {executions:,}, {rate:,.0f}/s, {dict(verdicts)}", flush=True)
    print(f"{executions:,} executions: {dict(verdicts)}")
    for kind, numbers in failures.items():
        print(f"{len(numbers)} times {kind}, first {numbers[:3]}")
    return 1 if failures else 0


def _kept(fuzz: Target, number: int) -> Path:
    ending, content = fuzz.kept(number)
    path = Path(tempfile.gettempdir()) / f"fuzz-{number}.{ending}"
    path.write_bytes(content)
    return path


if __name__ == "__main__":
    sys.exit(main())
