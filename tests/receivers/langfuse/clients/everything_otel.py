"""Langfuse for Python 3 and later: everything it can say, spans, scores and media. Prints the ids and what it was told."""

import base64
import json
import sys
from contextlib import nullcontext
from datetime import UTC, datetime

import langfuse
from langfuse import Langfuse
from langfuse.media import LangfuseMedia

KINDS = ("span", "generation", "agent", "tool", "chain", "retriever", "evaluator", "embedding", "guardrail")
IMAGE = base64.b64encode(b"\x89PNG not really").decode()
USER = {"user_id": "u", "session_id": "s", "tags": ["b", "a"]}

client = Langfuse(release="r1", environment="prod")
auth = client.auth_check()
propagate = getattr(langfuse, "propagate_attributes", None)
observations = {}
with (
    propagate(**USER, trace_name="chat") if propagate else nullcontext(),
    client.start_as_current_observation(name="root", as_type="span", input={"q": "é 😀"}) as root,
):
    if propagate:
        root.set_trace_as_public()
    else:
        root.update_trace(name="chat", **USER, public=True)
    for kind in KINDS:
        child = root.start_observation(name=kind, as_type=kind, input=f"{kind} in", metadata={"k": [1, None]})
        child.update(output={"text": f"{kind} out"}, level="WARNING", status_message="careful", version="2")
        if kind == "generation":
            child.update(
                model="gpt-4o",
                model_parameters={"temperature": 0.5},
                usage_details={"input": 3, "output": 4},
                cost_details={"total": 0.5},
                completion_start_time=datetime.now(UTC),
            )
        child.score(name="of the observation", value=0.5, score_id=f"{root.trace_id}-{kind}")
        child.end()
        observations[kind] = child.id
    observations["event"] = root.create_event(name="event", input="event in", output={"text": "event out"}).id
    root.update(output={"a": 1}, metadata={"image": LangfuseMedia(base64_data_uri=f"data:image/png;base64,{IMAGE}")})
    root.score_trace(name="quality", value="good", data_type="CATEGORICAL", score_id=f"{root.trace_id}-trace")
client.create_score(
    session_id="s", name="session", value=1, data_type="BOOLEAN", score_id=f"{root.trace_id}-session", comment="ok"
)
client.flush()
client.shutdown()
version = getattr(langfuse, "__version__", None) or langfuse.version.__version__
told = {"auth": auth, "version": version, "trace": root.trace_id, "root": root.id}
json.dump({**told, "observations": observations}, sys.stdout)
