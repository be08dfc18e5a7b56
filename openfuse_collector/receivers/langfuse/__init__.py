"""Takes the calls of Langfuse SDKs: the ingestion API, scores, the deprecated endpoints, media."""

from openfuse_collector.component import Factory, Kind, lazy
from openfuse_collector.receivers.langfuse.config import LangfuseConfig
from openfuse_collector.signals import Signal

METRICS = {
    "openfuse_receiver_accepted_events": "Langfuse events that are in the journal.",
    "openfuse_receiver_refused_events": "Valid Langfuse events the sender was told to send again.",
    "openfuse_receiver_failed_events": "Valid Langfuse events that were lost to an error of this collector.",
    "openfuse_receiver_rejected_events": "Langfuse events that cannot be stored, each reported to its sender.",
    "openfuse_receiver_sampled_out_events": "Langfuse events left out because their trace is not in the sample.",
    "openfuse_receiver_in_flight_bytes": "Bytes of requests that are being received or written.",
    "otelcol_receiver_requests": "Requests by outcome: success, refused (come back later), failure (never).",
}

FACTORY = Factory(
    kind=Kind.RECEIVER,
    type="langfuse",
    config=LangfuseConfig,
    create=lazy("openfuse_collector.receivers.langfuse.receiver:LangfuseReceiver"),
    signals=frozenset({Signal.EVENTS}),
    metrics=METRICS,
)
