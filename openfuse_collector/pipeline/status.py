"""The state of a running service as JSON values: what `/status` shows. Numbers and ids only, no data and no secrets."""

from __future__ import annotations

from typing import Any

from openfuse_collector import __version__
from openfuse_collector.component import Health
from openfuse_collector.journal import Journal
from openfuse_collector.memory import MemoryLimiter
from openfuse_collector.pipeline.graph import Graph
from openfuse_collector.pipeline.source import Source


def status_of(journal: Journal, graph: Graph, memory: MemoryLimiter, health: Health, uptime: float) -> dict[str, Any]:
    """`uptime` in seconds; sizes in bytes."""
    pipelines = {source.pipeline: _pipeline(source, journal) for source in graph.sources}
    exporters = {worker.id: worker.status() for worker in graph.workers}
    trouble = journal.trouble
    refuses = [f"journal: {trouble.reason}"] if trouble else []
    refuses += ["memory"] if memory.pressed else []
    refuses += [f"pipeline {name}" for name, state in pipelines.items() if state["state"] == "refusing"]
    return {
        "version": __version__,
        "instance": journal.instance,
        "uptime_seconds": round(uptime, 3),
        "state": _state(health, bool(refuses), exporters),
        "refuses": refuses,
        "memory": _memory(memory),
        "journal": journal.status(),
        "pipelines": pipelines,
        "exporters": exporters,
    }


def _state(health: Health, refuses: bool, exporters: dict[str, dict[str, Any]]) -> str:
    if not health.ready:
        return "not ready"
    if refuses:
        return "refusing"
    return "degraded" if any(exporter["state"] != "ok" for exporter in exporters.values()) else "ok"


def _pipeline(source: Source, journal: Journal) -> dict[str, Any]:
    """A pipeline at its bound is `refusing` or `parked`, whatever its thread does."""
    backlog = dict(journal.backlog(source.pipeline))
    state = source.status()
    if backlog.pop("full") and state["state"] != "stopped":
        state["state"] = "parked" if backlog["on_full"] == "park" else "refusing"
    return state | backlog


def _memory(memory: MemoryLimiter) -> dict[str, Any]:
    limits = memory.limits
    return {
        "rss": memory.current,
        "soft_limit": limits and limits.soft,
        "hard_limit": limits and limits.hard,
        "in_flight": memory.held,
        "refuses": memory.pressed,
    }
