"""Langfuse SDKs as test peers: each version in a directory of its own, installed once into the user's cache.

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
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CLIENTS = Path(__file__).parent / "clients"
TIMEOUT = 120.0


def cache() -> Path:
    """Where SDKs are installed."""
    named = os.environ.get("OPENFUSE_SDKS")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(named) if named else home / "openfuse-collector-tests"


def python_sdk(version: str) -> Path:
    """The directory of a version of Langfuse for Python, with what it depends on."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    requirement = f"langfuse=={version}"

    def install(directory: Path) -> None:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run(
            [*command, "--target", str(directory), requirement], check=True, timeout=300, capture_output=True
        )

    return _installed(f"python-{python}-langfuse-{version}", install)


def javascript_sdks() -> Path:
    """The node_modules of the packages in clients/package.json."""
    if missing := [program for program in ("node", "npm") if shutil.which(program) is None]:
        pytest.skip(f"{' and '.join(missing)} not installed: the JavaScript SDKs cannot run")
    manifest = CLIENTS / "package.json"

    def install(directory: Path) -> None:
        shutil.copy(manifest, directory)
        command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        subprocess.run(command, cwd=directory, check=True, timeout=300, capture_output=True)

    digest = hashlib.sha256(manifest.read_bytes()).hexdigest()[:12]
    return _installed(f"javascript-langfuse-{digest}", install) / "node_modules"


async def run_python(script: str, url: str, version: str | None = None, **environment: str) -> Any:
    """What a script prints, as JSON: with the SDK of the test environment, or with another version of it."""
    path = {"PYTHONPATH": str(python_sdk(version))} if version else {}
    return await _run([sys.executable, str(CLIENTS / script)], url, path | environment)


async def run_node(script: str, url: str, *arguments: str) -> Any:
    """What a script prints, as JSON."""
    modules = javascript_sdks()
    return await _run(["node", str(CLIENTS / script), *arguments], url, {"NODE_PATH": str(modules)})


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


async def _run(command: list[str], url: str, more: dict[str, str]) -> Any:
    """AssertionError with the output of the script when it fails or does not end."""
    keys = {"LANGFUSE_PUBLIC_KEY": "pk-lf-test", "LANGFUSE_SECRET_KEY": "sk-lf-test"}
    hosts = {"LANGFUSE_HOST": url, "LANGFUSE_BASE_URL": url, "LANGFUSE_BASEURL": url}
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, **hosts, **keys, **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(TIMEOUT):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, errors.decode()
    return {**json.loads(output), "stderr": errors.decode()}
