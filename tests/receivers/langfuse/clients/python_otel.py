"""Langfuse for Python 3 and later: spans go by OTLP, scores by this API, media by both. Prints what it was told."""

import base64
import json
import sys

import langfuse
from langfuse import Langfuse
from langfuse.media import LangfuseMedia

IMAGE = base64.b64encode(b"\x89PNG not really").decode()

client = Langfuse()
auth = client.auth_check()
starts = getattr(client, "start_as_current_observation", None) or client.start_as_current_span
with starts(name="root", input={"image": LangfuseMedia(base64_data_uri=f"data:image/png;base64,{IMAGE}")}) as span:
    trace_id, span_id = span.trace_id, span.id
    span.score(name="quality", value=0.9, score_id="score-1")
client.create_score(
    trace_id=trace_id, observation_id=span_id, name="label", value="good", data_type="CATEGORICAL", score_id="score-2"
)
client.create_score(session_id="s", name="session", value=1, data_type="BOOLEAN", score_id="score-3", metadata={"k": 1})
prompt = client.get_prompt("weather", fallback="Weather in {{city}}?")
client.flush()
client.shutdown()
version = getattr(langfuse, "__version__", None) or langfuse.version.__version__
json.dump(
    {"version": version, "auth": auth, "trace_id": trace_id, "span_id": span_id, "prompt": prompt.prompt}, sys.stdout
)
