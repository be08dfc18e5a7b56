"""Ids that depend on content alone (invariant I3, docs/architecture.md): the same span mapped twice, anywhere, gives the same events.

A digest names a span or log record together with its scope and resource; an event id names what one mapping version made of it.
No clock and no randomness goes in, so a retried export or a replayed journal adds nothing new.
"""

from __future__ import annotations

from hashlib import blake2b

from opentelemetry.proto.common.v1.common_pb2 import KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

MAPPING_VERSION: int = 1
"""Raise it whenever the events made of some span change; the fold keeps the highest version per source."""

_SIZE = 16


def resource_digest(group: ResourceSpans | ResourceLogs) -> bytes:
    """Digest of a resource: its attributes and schema, nothing that counts or drops."""
    attributes = KeyValueList(values=group.resource.attributes).SerializeToString(deterministic=True)
    return _digest(attributes, group.schema_url.encode())


def scope_digest(resource: bytes, group: ScopeSpans | ScopeLogs) -> bytes:
    """Digest of a scope within a resource."""
    return _digest(resource, group.scope.SerializeToString(deterministic=True), group.schema_url.encode())


def span_digest(scope: bytes, span: Span) -> str:
    """Digest of a span within its scope, 32 hexadecimal digits. `scope` is of fixed length, so nothing can run over."""
    return blake2b(scope + span.SerializeToString(deterministic=True), digest_size=_SIZE).hexdigest()


def record_digest(scope: bytes, record: LogRecord) -> str:
    """Digest of a log record within its scope, like that of a span."""
    return blake2b(scope + record.SerializeToString(deterministic=True), digest_size=_SIZE).hexdigest()


def event_id(project_id: str, kind: str, entity_id: str, *rest: str) -> str:
    """The uuid (version 8, content-defined) of an event."""
    named = "\0".join((project_id, kind, entity_id, *rest)).encode()
    digits = blake2b(named, digest_size=_SIZE).hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-8{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"


def _digest(*parts: bytes) -> bytes:
    hashed = blake2b(digest_size=_SIZE)
    for part in parts:
        hashed.update(len(part).to_bytes(8, "big"))
        hashed.update(part)
    return hashed.digest()
