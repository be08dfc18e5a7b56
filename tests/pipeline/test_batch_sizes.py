"""Batches are small after a start, so that a process that keeps dying gets ahead."""

from __future__ import annotations

from itertools import islice

import pytest

from openfuse_collector.pipeline.source import batch_sizes


@pytest.mark.parametrize(
    ("most", "sizes"),
    [(2048, [256, 512, 1024, 2048, 2048]), (300, [256, 300, 300, 300, 300]), (256, [256] * 5), (3, [3] * 5)],
)
def test_they_double_up_to_the_bound(most: int, sizes: list[int]) -> None:
    assert list(islice(batch_sizes(most), 5)) == sizes
