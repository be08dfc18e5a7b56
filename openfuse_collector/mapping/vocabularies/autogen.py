"""AutoGen's own tracing: agents as actors that send each other messages."""

from __future__ import annotations

from openfuse_collector.mapping.rule import Vocabulary, sides

RUNTIME = "autogen SingleThreadedAgentRuntime"
"""Scope of the spans of its runtime; agents, tools and models speak the GenAI conventions."""

VOCABULARY = Vocabulary(content=(sides(("message",), scope=RUNTIME),))
