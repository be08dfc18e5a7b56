"""Damaged requests through decoding, mapping, fold, enrichment and rows; nothing may escape and no span may go missing.

    python -m tests.fuzz.run [--executions 200000] [--seed 1] [--only N]

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
from pathlib import Path

from openfuse_collector.pdata.forms import Form
from tests.fuzz.checks import check
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

    def execute(self, number: int) -> str:
        """Run one execution and say what became of it. Raises what `check` raises."""
        body, form, encoding = self.body(number)
        return check(body, form, encoding, thorough=number % _THOROUGH == 0)


def main() -> int:
    """Run, show progress, report."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--executions", type=int, default=200_000)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--only", type=int)
    chosen_arguments = arguments.parse_args()
    seeds = corpus_seeds() or own_seeds()
    fuzz = Fuzz(chosen_arguments.seed, seeds)
    if chosen_arguments.only is not None:
        print(fuzz.execute(chosen_arguments.only))
        return 0
    print(f"{len(seeds)} seeds", flush=True)
    return _run(fuzz, chosen_arguments.executions)


def _run(fuzz: Fuzz, executions: int) -> int:
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


def _kept(fuzz: Fuzz, number: int) -> Path:
    body, form, encoding = fuzz.body(number)
    path = Path(tempfile.gettempdir()) / f"fuzz-{number}.{form.signal}.{'pb' if encoding == 'protobuf' else 'json'}"
    path.write_bytes(body)
    return path


if __name__ == "__main__":
    sys.exit(main())
