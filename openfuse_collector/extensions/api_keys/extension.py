"""Holds the keys and says whose a request is."""

from __future__ import annotations

from collections.abc import Mapping

from openfuse_collector.auth import AuthError, Identity, credentials_of
from openfuse_collector.component import Settings
from openfuse_collector.errors import CollectorError, ConfigError
from openfuse_collector.extensions.api_keys import METRICS
from openfuse_collector.extensions.api_keys.config import ApiKeysConfig
from openfuse_collector.extensions.api_keys.keyring import Keyring, build_keyring, check

_NAME = "openfuse_auth_requests"


class ApiKeys:
    """An `Authenticator`. Keys are read when it is made and on `reload`."""

    def __init__(self, settings: Settings, config: ApiKeysConfig) -> None:
        self._settings = settings
        self._config = config
        self._keys: Keyring = self._read()
        counter = settings.metrics.counter(_NAME, METRICS[_NAME], ["extension", "outcome"])
        self._passed, self._failed = (counter.labels(str(settings.id), outcome) for outcome in ("passed", "failed"))

    async def start(self) -> None:
        """Nothing: the keys are there from the beginning."""

    async def shutdown(self) -> None:
        """Nothing."""

    def authenticate(self, headers: Mapping[str, str]) -> Identity:
        """The identity of a sender; takes microseconds. Raises AuthError, to be answered after its `delay`."""
        try:
            identity = check(self._keys, credentials_of(headers))
        except AuthError as error:
            self._failed.inc()
            error.delay = self._config.failure_delay
            raise
        self._passed.inc()
        return identity

    def reload(self) -> None:
        """Read file and environment again; keys that are gone are refused from now on.

        With mistakes in them everything stays as it was, and the mistakes are logged.
        """
        try:
            self._keys = build_keyring(self._config)
        except ConfigError as error:
            self._settings.log.error("keys not reloaded, the old ones stay", problems=list(error.problems))
            return
        self._settings.log.info("keys reloaded", keys=len(self._keys))

    def _read(self) -> Keyring:
        try:
            return build_keyring(self._config)
        except ConfigError as error:
            raise CollectorError(f"extensions::{self._settings.id}: {error}") from error
