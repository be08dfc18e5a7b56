"""Settings of the `api_keys` extension: projects, their keys, and where else keys are kept."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from openfuse_collector.config.types import Duration, Secret
from openfuse_collector.extensions.api_keys.secrets import SecretHash, hash_secret, parse_hash

VARIABLES = {
    "id": "LANGFUSE_INIT_PROJECT_ID",
    "name": "LANGFUSE_INIT_PROJECT_NAME",
    "public_key": "LANGFUSE_INIT_PROJECT_PUBLIC_KEY",
    "secret_key": "LANGFUSE_INIT_PROJECT_SECRET_KEY",
}
"""The variables with which Langfuse itself is given its first project."""


@dataclass(frozen=True)
class KeyConfig:
    """One key pair; of the secret either the text or the hash."""

    public_key: str
    secret_key: Secret | None = None
    secret_hash: Secret | None = None
    """`sha256:<salt>:<hex>`, see the README."""

    def hashed(self) -> SecretHash:
        """The secret as it is compared."""
        return parse_hash(_revealed(self.secret_hash)) if self.secret_hash else hash_secret(_revealed(self.secret_key))

    def validate(self) -> Iterator[str]:
        """One sentence per mistake on this level. None of them quotes a secret."""
        if not self.public_key or ":" in self.public_key:
            yield "public_key must be text without a colon"
        if bool(self.secret_key) == bool(self.secret_hash):
            yield "secret_key or secret_hash must be set, and not both"
        if ":" in _revealed(self.secret_key):
            yield "secret_key must not hold a colon: Basic authentication could not carry it"
        if self.secret_hash:
            try:
                parse_hash(_revealed(self.secret_hash))
            except ValueError as error:
                yield f"secret_hash {error}"


@dataclass(frozen=True)
class ProjectConfig:
    """A project and the keys that send to it."""

    id: str
    name: str = ""
    """Shown to clients that ask; the id when empty."""
    keys: tuple[KeyConfig, ...] = ()

    def validate(self) -> Iterator[str]:
        """One sentence per mistake on this level."""
        if not self.id.strip():
            yield "id must not be empty"


@dataclass(frozen=True)
class Projects:
    """What a file of keys holds; the same list as in the configuration."""

    projects: tuple[ProjectConfig, ...] = ()

    def validate(self) -> Iterator[str]:
        """One sentence per mistake on this level."""
        yield from twice(self.projects)


@dataclass(frozen=True)
class ApiKeysConfig:
    """Where keys are, and how failed logins are answered."""

    projects: tuple[ProjectConfig, ...] = ()
    file: Path | None = None
    """YAML with `projects:` in it, read again on SIGHUP."""
    environment: bool = False
    """Whether the project in LANGFUSE_INIT_PROJECT_… counts too."""
    failure_delay: Duration = Duration(0.25)
    """How long the answer to a failed login is held back."""

    def validate(self) -> Iterator[str]:
        """One sentence per mistake on this level."""
        yield from twice(self.projects)
        if not self.projects and self.file is None and not self.environment:
            yield "projects must name a project, unless file or environment is set: nobody could send otherwise"
        if self.environment and not os.environ.get(VARIABLES["public_key"]):
            yield f"environment is on, but {VARIABLES['public_key']} is not set"


def _revealed(secret: Secret | None) -> str:
    return "" if secret is None else secret.reveal()


def twice(projects: tuple[ProjectConfig, ...]) -> Iterator[str]:
    """Sentences on public keys that stand for two things."""
    counts = Counter(key.public_key for project in projects for key in project.keys)
    for public_key in sorted(key for key, count in counts.items() if count > 1):
        yield f'projects must have different public keys: "{public_key}" is there {counts[public_key]} times'


def project_of(environment: Mapping[str, str]) -> ProjectConfig:
    """The project in environment variables; its id is `default` where none is given."""
    value = {field: environment.get(variable, "") for field, variable in VARIABLES.items()}
    key = KeyConfig(value["public_key"], Secret(value["secret_key"]))
    return ProjectConfig(value["id"] or "default", value["name"], (key,))
