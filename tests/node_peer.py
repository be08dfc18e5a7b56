"""Stock JavaScript exporters as test peers: scripts of tests/node with the packages its package.json names.

Import the fixture where it is used (`from tests.node_peer import node`) and mark those tests with `node`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.client_programs import node_modules, run

SCRIPTS = Path(__file__).parent / "node"

RunNode = Callable[..., Awaitable[Any]]


@pytest.fixture(scope="session")
def node() -> RunNode:
    """Call it to run a script of tests/node: `await node("send_traces.cjs", url, "3")` gives the JSON it prints."""
    environment = {"NODE_PATH": str(node_modules(SCRIPTS / "package.json"))}

    async def run_script(script: str, *arguments: str) -> Any:
        told, _ = await run(["node", str(SCRIPTS / script), *arguments], environment)
        return told

    return run_script
