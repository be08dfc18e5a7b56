"""Clients as test peers: packages installed once into the user's cache, and scripts that run with them and print JSON.

`$OPENFUSE_SDKS` names another place for the directories. Where a package index cannot be reached, tests skip and say so.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

TIMEOUT = 120.0
"""Seconds a script may take, far more than any needs."""


def cache() -> Path:
    """Where clients are installed."""
    named = os.environ.get("OPENFUSE_SDKS")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(named) if named else home / "openfuse-collector-tests"


def python_package(name: str, version: str) -> Path:
    """The directory of a version of a package from PyPI, with what it depends on."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"

    def install(directory: Path) -> None:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _install([*command, "--target", str(directory), f"{name}=={version}"])

    return _installed(f"python-{python}-{name}-{version}", install)


def node_modules(manifest: Path) -> Path:
    """The node_modules of the packages a package.json names."""
    if missing := [program for program in ("node", "npm") if shutil.which(program) is None]:
        pytest.skip(f"{' and '.join(missing)} not installed: the JavaScript clients cannot run")

    def install(directory: Path) -> None:
        shutil.copy(manifest, directory)
        _install(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"], directory)

    digest = hashlib.sha256(manifest.read_bytes()).hexdigest()[:12]
    return _installed(f"node-{digest}", install) / "node_modules"


async def run(command: Sequence[str], environment: Mapping[str, str]) -> tuple[Any, str]:
    """What a program prints, as JSON, and its standard error; AssertionError with that when it fails or does not end.

    `environment` is added to the one of the tests.
    """
    process = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        async with asyncio.timeout(TIMEOUT):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, errors.decode()
    return json.loads(output), errors.decode()


def _install(command: list[str], directory: Path | None = None) -> None:
    subprocess.run(command, cwd=directory, check=True, timeout=300, capture_output=True)


def _installed(name: str, install: Callable[[Path], None]) -> Path:
    directory = cache() / name
    if directory.is_dir():
        return directory
    making = directory.with_name(f"{name}.{os.getpid()}")
    making.mkdir(parents=True)
    try:
        install(making)
        making.rename(directory)
    except (subprocess.SubprocessError, OSError) as error:
        shutil.rmtree(making)
        if not directory.is_dir():  # else another run was faster
            pytest.skip(f"{name} cannot be installed: {error}")
    return directory
