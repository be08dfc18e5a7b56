"""Langfuse for Python 2 with one event the API refuses beside a good one."""

from langfuse import Langfuse

client = Langfuse(max_retries=2)
client.trace(id="good", name="n")
client.trace(id="bad", name="x" * 1001)
client.flush()
client.shutdown()
print("{}")
