"""How much memory there is (control groups of both versions) and what limits follow from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from openfuse_collector.errors import ConfigError
from openfuse_collector.memory import Limits, MemoryLimiterConfig, limits_of
from openfuse_collector.memory.available import available_memory, physical_memory

MIB = 1024 * 1024
GIB = 1024 * MIB


def files(root: Path, **content: str) -> Path:
    """A file system with these files; `__` in names stands for a slash."""
    for name, text in content.items():
        path = root / name.replace("__", "/").replace("DOT", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


GROUPS = {
    "version 2": (
        {"proc__self__cgroup": "0::/pod/box\n", "sys__fs__cgroup__pod__box__memoryDOTmax": "536870912\n"},
        512 * MIB,
    ),
    "version 2, limit of the group above": (
        {
            "proc__self__cgroup": "0::/pod/box\n",
            "sys__fs__cgroup__pod__box__memoryDOTmax": "max\n",
            "sys__fs__cgroup__pod__memoryDOTmax": "268435456\n",
        },
        256 * MIB,
    ),
    "version 2, seen from inside a container": (
        {"proc__self__cgroup": "0::/\n", "sys__fs__cgroup__memoryDOTmax": "268435456\n"},
        256 * MIB,
    ),
    "version 1": (
        {
            "proc__self__cgroup": "5:cpu:/x\n4:memory:/docker/abc\n0::/\n",
            "sys__fs__cgroup__memory__docker__abc__memoryDOTlimit_in_bytes": "134217728\n",
        },
        128 * MIB,
    ),
    "version 1, mounted as the root": (
        {
            "proc__self__cgroup": "4:memory:/docker/abc\n",
            "sys__fs__cgroup__memory__memoryDOTlimit_in_bytes": "134217728\n",
        },
        128 * MIB,
    ),
    "version 1 without a limit": (
        {
            "proc__self__cgroup": "4:memory:/\n",
            "sys__fs__cgroup__memory__memoryDOTlimit_in_bytes": "9223372036854771712\n",
        },
        GIB,
    ),
    "no control groups": ({}, GIB),
    "outside of what can be seen": ({"proc__self__cgroup": "0::/../other\n"}, GIB),
}


@pytest.mark.parametrize("name", GROUPS)
def test_the_smallest_limit_counts(name: str, tmp_path: Path) -> None:
    content, expected = GROUPS[name]
    assert available_memory(GIB, files(tmp_path, **content)) == expected


def test_this_machine_has_memory() -> None:
    assert 0 < available_memory(physical_memory()) <= physical_memory()


@pytest.mark.parametrize(
    ("settings", "available", "expected"),
    [
        ({}, 64 * GIB, Limits(1024 * MIB - 1024 * MIB // 5, 1024 * MIB)),
        ({}, 400 * MIB, Limits(240 * MIB, 300 * MIB)),
        ({"limit_mib": 500}, 64 * GIB, Limits(400 * MIB, 500 * MIB)),
        ({"limit_percentage": 50}, 8 * GIB, Limits(4 * GIB - 4 * GIB // 5, 4 * GIB)),
        ({"limit_percentage": 50, "limit_mib": 1000}, 8 * GIB, Limits(800 * MIB, 1000 * MIB)),
        ({"limit_mib": 500, "spike_limit_mib": 200}, GIB, Limits(300 * MIB, 500 * MIB)),
        ({"limit_percentage": 50, "spike_limit_percentage": 25}, GIB, Limits(256 * MIB, 512 * MIB)),
        ({"limit_mib": 0}, GIB, None),
        ({"limit_mib": 0, "spike_limit_mib": 1200}, GIB, None),
        ({"spike_limit_mib": 1023}, 64 * GIB, Limits(MIB, 1024 * MIB)),
        ({"limit_mib": 512, "spike_limit_percentage": 25}, GIB, Limits(256 * MIB, 512 * MIB)),
    ],
)
def test_limits(settings: dict[str, int], available: int, expected: Limits | None) -> None:
    config = MemoryLimiterConfig(**settings)
    assert list(config.validate()) == []
    assert limits_of(config, available) == expected


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"limit_mib": -1}, "limit_mib"),
        ({"limit_percentage": 101}, "limit_percentage"),
        ({"limit_mib": 100, "spike_limit_mib": 100}, "spike_limit_mib"),
        ({"spike_limit_mib": 1024}, "spike_limit_mib"),
        ({"spike_limit_mib": 1200}, "spike_limit_mib"),
        ({"spike_limit_percentage": 75}, "spike_limit_percentage"),
        ({"limit_percentage": 50, "spike_limit_percentage": 60}, "spike_limit_percentage"),
        ({"check_interval": 0}, "check_interval"),
    ],
)
def test_mistakes_are_named(settings: dict[str, int], complaint: str) -> None:
    assert [sentence.split()[0] for sentence in MemoryLimiterConfig(**settings).validate()] == [complaint]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "available", "told"),
    [
        ({"limit_mib": 512, "spike_limit_percentage": 25}, 32 * GIB, ("512 MiB", "8192 MiB", "spike_limit_percentage")),
        ({"limit_mib": 512, "spike_limit_percentage": 25}, 2 * GIB, ("512 MiB", "spike_limit_percentage")),
        ({"limit_percentage": 50, "spike_limit_mib": 1000}, 2000 * MIB, ("1000 MiB", "spike_limit_mib")),
        ({"spike_limit_mib": 1000}, GIB, ("768 MiB", "1000 MiB", "spike_limit_mib")),
        ({"limit_mib": 1000, "limit_percentage": 10, "spike_limit_mib": 900}, GIB, ("102 MiB", "900 MiB")),
    ],
)
def test_room_that_is_not_smaller_than_the_limit_is_an_error_where_the_memory_is_known(
    settings: dict[str, int], available: int, told: tuple[str, ...]
) -> None:
    """Nothing would ever be taken."""
    config = MemoryLimiterConfig(**settings)  # type: ignore[arg-type]
    assert list(config.validate()) == []
    with pytest.raises(ConfigError, match="service::memory_limiter") as error:
        limits_of(config, available)
    assert all(words in str(error.value) for words in told) and "leave" in str(error.value)
