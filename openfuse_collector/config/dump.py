"""A configuration back as plain data, defaults included and credentials masked: what `print-config` prints.

Loading what was dumped unmasked gives the same configuration again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import is_dataclass
from enum import Enum
from typing import Any

from openfuse_collector.component import Kind
from openfuse_collector.config.service import CollectorConfig
from openfuse_collector.config.types import Duration, Secret, Size
from openfuse_collector.config.unmarshal import keys, section_of

MASK = "[REDACTED]"

_CREDENTIAL_KEY = re.compile(
    r"(^|_)(pass|passwd|password|passphrase|pwd|token|secret|credential|api_?key|auth_?key|access_?key|secret_?key|private_?key"
    r"|key_pem|authorization|cookie|htpasswd|dsn)s?$"
)
_URL_USER = re.compile(r"(?<=://)[^\s/?#]*(?=@)")
_URL_PASSWORD = re.compile(r"(?<=://)([^\s/:@]+):(?!\d+(?:[/?#]|$))\S*(?=@)")
_URL_PARAMETER = re.compile(r"([?&;]([\w.-]+)=)[^&;#\s]+")
_BEARER = re.compile(r"^(basic|bearer|token)\s+\S.*", re.IGNORECASE | re.DOTALL)


def dump(config: CollectorConfig, *, masked: bool = True) -> dict[str, Any]:
    """Maps, lists and scalars in the order of a configuration file. `$` is escaped as `$$` where a loader would expand it."""
    components = {kind.value: _plain(getattr(config, kind.value)) for kind in Kind}
    tree = {**components, "service": _plain(config.service)}
    if not masked:
        return {key: _revealed(value) for key, value in tree.items()}
    # What stands at the level of ids is a name: nothing is secret because the extension it belongs to is called `api_keys`.
    hidden = {kind: {id: _masked(child) for id, child in ids.items()} for kind, ids in components.items()}
    return {**hidden, "service": _masked(tree["service"])}


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return _section(value)
    if isinstance(value, Duration | Size):
        return value.written()
    if isinstance(value, Mapping):
        return {str(key): _plain(child) for key, child in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):  # an id
        return str(value)
    if isinstance(value, tuple | list | frozenset):
        return [_plain(child) for child in (sorted(value) if isinstance(value, frozenset) else value)]
    return value.value if isinstance(value, Enum) else _scalar(value)


def _section(value: Any) -> dict[str, Any]:
    """The settings of one level. A section that is off is left out, since a null would turn it on."""
    cls: Any = type(value)
    plain = {}
    for name, key in keys(cls).items():
        child = getattr(value, key.field)
        if child is not None or section_of(key.hint) is None:
            plain[name] = _plain(child)
    return plain


def _scalar(value: Any) -> Any:
    if isinstance(value, Secret) or value is None or isinstance(value, bool | int | float):
        return value
    return str(value)


def _masked(value: Any, key: str = "", hidden: bool = False) -> Any:
    """Strings below a key that names a credential are hidden, and the user and password parts of URLs anywhere."""
    if isinstance(value, dict):
        return {name: _masked(child, name, hidden or _is_credential(name)) for name, child in value.items()}
    if isinstance(value, list):
        return [_masked(child, key, hidden) for child in value]
    if isinstance(value, Secret) or (hidden and value and _may_be_secret(value, key)):
        return MASK
    return _escaped(_without_credentials(value)) if isinstance(value, str) else value


def _revealed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _revealed(child) for name, child in value.items()}
    if isinstance(value, list):
        return [_revealed(child) for child in value]
    text = value.reveal() if isinstance(value, Secret) else value
    return _escaped(text) if isinstance(text, str) else text


def _may_be_secret(value: Any, key: str) -> bool:
    """Numbers can be secrets too, but `max_tokens: 100` is none."""
    return isinstance(value, str) or not (isinstance(value, bool) or key.lower().endswith("tokens"))


def _is_credential(key: str) -> bool:
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key)
    return _CREDENTIAL_KEY.search(re.sub(r"[-.\s]", "_", snake).lower()) is not None


def _without_credentials(text: str) -> str:
    text = _URL_PASSWORD.sub(rf"\1:{MASK}", _URL_USER.sub(_user, text))
    text = _URL_PARAMETER.sub(lambda match: match[1] + MASK if _is_credential(match[2]) else match[0], text)
    return _BEARER.sub(rf"\1 {MASK}", text)


def _user(match: re.Match[str]) -> str:
    """The user name stays where there is a password beside it; alone it is a token."""
    name, separator, _ = match[0].partition(":")
    return f"{name}:{MASK}" if separator else MASK


def _escaped(text: str) -> str:
    return re.sub(r"\$(?=[${])", "$$", text)
