"""Projects and the key pairs that send to them."""

from openfuse_collector.component import Factory, Kind, lazy
from openfuse_collector.extensions.api_keys.config import ApiKeysConfig

METRICS = {"openfuse_auth_requests": "Requests whose credentials were looked at, by outcome."}

FACTORY = Factory(
    kind=Kind.EXTENSION,
    type="api_keys",
    config=ApiKeysConfig,
    create=lazy("openfuse_collector.extensions.api_keys.extension:ApiKeys"),
    metrics=METRICS,
)
