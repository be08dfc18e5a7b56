"""JavaScript clients as test peers: installs the packages of tests/node once, and runs scripts from there.

Import the fixture where it is used (`from tests.node_peer import node`) and mark those tests with `node`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).parent / "node"
TIMEOUT = 120.0

RunNode = Callable[..., Awaitable[Any]]


def installed() -> Path:
    """The node_modules of tests/node, in a cache named by the content of package.json; installed when it is not there yet."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "openfuse-collector-tests"
    manifest = SCRIPTS / "package.json"
    directory = cache / f"node-{hashlib.sha256(manifest.read_bytes()).hexdigest()[:12]}"
    if not directory.is_dir():
        making = cache / f"{directory.name}.{os.getpid()}"
        making.mkdir(parents=True)
        shutil.copy(manifest, making)
        command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        subprocess.run(command, cwd=making, check=True, timeout=300)
        try:
            making.rename(directory)
        except OSError:
            shutil.rmtree(making)  # another run was faster
    return directory / "node_modules"


@pytest.fixture(scope="session")
def node() -> RunNode:
    """Call it to run a script of tests/node: `await node("send_traces.cjs", url, "3")` gives the JSON it prints."""
    missing = [program for program in ("node", "npm") if shutil.which(program) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not installed: the JavaScript peers cannot run")
    try:
        modules = installed()
    except (subprocess.SubprocessError, OSError) as error:
        pytest.skip(f"the JavaScript peers cannot be installed: {error}")
    return lambda script, *arguments: run(modules, script, *arguments)


async def run(modules: Path, script: str, *arguments: str) -> Any:
    """What a script prints, as JSON. AssertionError with its output when it fails."""
    environment = {**os.environ, "NODE_PATH": str(modules)}
    process = await asyncio.create_subprocess_exec(
        "node", str(SCRIPTS / script), *arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        async with asyncio.timeout(TIMEOUT):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, errors.decode()
    return json.loads(output)
