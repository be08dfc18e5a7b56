"""A customer-support agent traced with the OpenTelemetry GenAI conventions; the programs beside it choose the exporter.

Its model is canned, so that it runs without a key and without a network. One turn is seven spans: the agent, a retrieval,
two model calls with a tool call each, and the final answer.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer

MODEL = "gpt-4o-mini"
DOCUMENTS = [
    {"id": "returns-7", "content": "Orders can be returned within 30 days.", "score": 0.91},
    {"id": "shipping-2", "content": "Standard delivery takes two to four days.", "score": 0.88},
]
ORDERS = {"A-1042": {"status": "in transit", "carrier": "DHL", "eta": "Friday"}}


def run_turn(tracer: Tracer, question: str, session: str, user: str) -> str:
    """One turn of the conversation. Gives the trace id in hex."""
    attributes = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "support",
        "session.id": session,
        "user.id": user,
        "gen_ai.input.messages": messages("user", question),
    }
    with tracer.start_as_current_span("invoke_agent support", attributes=attributes) as agent:
        context = retrieve(tracer, question)
        chat(tracer, f"{context}\n\n{question}", tool_call("look_up_order", {"order": "A-1042"}), (412, 19))
        order = execute_tool(tracer, "look_up_order", {"order": "A-1042"})
        chat(tracer, json.dumps(order), tool_call("estimate_refund", {"order": "B-7"}), (466, 17))
        execute_tool(tracer, "estimate_refund", {"order": "B-7"})
        answer = "Your order A-1042 is on its way with DHL and arrives on Friday."
        chat(tracer, "The refund service knows no order B-7.", answer, (521, 34))
        agent.set_attribute("gen_ai.output.messages", messages("assistant", answer))
        return trace.format_trace_id(agent.get_span_context().trace_id)


def retrieve(tracer: Tracer, query: str) -> str:
    """Search the (two) help pages."""
    attributes = {"gen_ai.operation.name": "retrieval", "gen_ai.retrieval.query.text": query, "input.value": query}
    with tracer.start_as_current_span("retrieval help_pages", attributes=attributes) as span:
        time.sleep(0.03)
        span.set_attribute("gen_ai.retrieval.documents", json.dumps(DOCUMENTS))
        span.set_attribute("output.value", json.dumps(DOCUMENTS))
    return "\n".join(str(document["content"]) for document in DOCUMENTS)


def chat(tracer: Tracer, prompt: str, answer: str | dict[str, Any], tokens: tuple[int, int]) -> None:
    """One call of the model: request on the way in, answer and usage on the way out."""
    attributes: Mapping[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": MODEL,
        "gen_ai.request.temperature": 0.2,
        "gen_ai.request.max_tokens": 256,
        "gen_ai.system_instructions": json.dumps([{"type": "text", "content": "You help customers of a web shop."}]),
        "gen_ai.input.messages": messages("user", prompt),
    }
    with tracer.start_as_current_span(f"chat {MODEL}", kind=SpanKind.CLIENT, attributes=attributes) as span:
        time.sleep(tokens[1] / 400)
        span.set_attribute("gen_ai.response.model", f"{MODEL}-2024-07-18")
        span.set_attribute("gen_ai.response.finish_reasons", ["stop" if isinstance(answer, str) else "tool_calls"])
        span.set_attribute("gen_ai.usage.input_tokens", tokens[0])
        span.set_attribute("gen_ai.usage.output_tokens", tokens[1])
        span.set_attribute("gen_ai.output.messages", messages("assistant", answer))


def execute_tool(tracer: Tracer, name: str, arguments: dict[str, str]) -> dict[str, str]:
    """Run a tool; an order nobody knows makes the span an error, as it would in real life."""
    attributes = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": name,
        "gen_ai.tool.call.id": f"call_{name}",
        "gen_ai.tool.call.arguments": json.dumps(arguments),
    }
    with tracer.start_as_current_span(f"execute_tool {name}", attributes=attributes) as span:
        time.sleep(0.02)
        order = ORDERS.get(arguments["order"])
        if order is None:
            fail(span, f"no order {arguments['order']}")
            return {}
        span.set_attribute("gen_ai.tool.call.result", json.dumps(order))
        return order


def fail(span: Span, reason: str) -> None:
    """Mark a span as failed."""
    span.set_status(Status(StatusCode.ERROR, reason))
    span.set_attribute("error.type", "LookupError")


def messages(role: str, content: str | dict[str, Any]) -> str:
    """One message as the GenAI conventions write it."""
    part = {"type": "text", "content": content} if isinstance(content, str) else content
    return json.dumps([{"role": role, "parts": [part]}])


def tool_call(name: str, arguments: dict[str, str]) -> dict[str, Any]:
    """The part of a message that asks for a tool."""
    return {"type": "tool_call", "id": f"call_{name}", "name": name, "arguments": arguments}
