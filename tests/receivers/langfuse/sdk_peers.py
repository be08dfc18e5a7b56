"""Langfuse SDKs as test peers: the scripts in clients/, each run with the version of the SDK a test names."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tests.client_programs import node_modules, python_package, run

CLIENTS = Path(__file__).parent / "clients"


async def run_python(script: str, url: str, version: str | None = None, **environment: str) -> Any:
    """What a script prints, as JSON: with the SDK of the test environment, or with another version of it."""
    path = {"PYTHONPATH": str(python_package("langfuse", version))} if version else {}
    return await _run([sys.executable, str(CLIENTS / script)], url, path | environment)


async def run_node(script: str, url: str, *arguments: str, **environment: str) -> Any:
    """What a script prints, as JSON."""
    modules = {"NODE_PATH": str(node_modules(CLIENTS / "package.json"))}
    return await _run(["node", str(CLIENTS / script), *arguments], url, modules | environment)


async def _run(command: list[str], url: str, more: dict[str, str]) -> Any:
    keys = {"LANGFUSE_PUBLIC_KEY": "pk-lf-test", "LANGFUSE_SECRET_KEY": "sk-lf-test"}
    hosts = {"LANGFUSE_HOST": url, "LANGFUSE_BASE_URL": url, "LANGFUSE_BASEURL": url}
    told, errors = await run(command, hosts | keys | more)
    return {**told, "stderr": errors}
