"""Langfuse for Python 2: everything it can say, against the host in the environment. Prints what it was told."""

import base64
import json
import sys

import langfuse
from langfuse import Langfuse
from langfuse.media import LangfuseMedia
from langfuse.model import ModelUsage

IMAGE = base64.b64encode(b"\x89PNG not really").decode()

client = Langfuse(flush_at=4, max_retries=5)
auth = client.auth_check()
trace = client.trace(
    id="trace-1", name="chat", user_id="u", session_id="s", input={"q": "é 😀"}, tags=["b", "a"], release="r1"
)
span = trace.span(id="span-1", name="retrieve", input="in", metadata={"k": [1, None]})
generation = span.generation(
    id="generation-1",
    name="llm",
    model="gpt-4o",
    model_parameters={"temperature": 0.5, "stop": ["a"]},
    input=[{"role": "user"}],
)
generation.update(output="partial")
generation.end(output={"text": "done"}, usage=ModelUsage(input=3, output=4, unit="TOKENS", total_cost=0.5))
legacy = trace.generation(id="generation-2", usage={"promptTokens": 5, "completionTokens": 6})
trace.event(id="event-1", name="noted", level="WARNING", status_message="careful")
span.end(output="out")
trace.update(
    output={"a": 1}, public=True, metadata={"image": LangfuseMedia(base64_data_uri=f"data:image/png;base64,{IMAGE}")}
)
trace.score(id="score-1", name="quality", value=0.9, comment="ok")
client.score(
    id="score-2", trace_id="trace-1", observation_id="span-1", name="label", value="good", data_type="CATEGORICAL"
)
client.score(id="score-3", trace_id="trace-1", name="yes", value=1, data_type="BOOLEAN")
client.flush()
client.shutdown()
json.dump({"version": langfuse.version.__version__, "auth": auth}, sys.stdout)
