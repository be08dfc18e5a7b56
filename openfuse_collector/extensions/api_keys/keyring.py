"""All keys there are, by public key: built from the configuration, a file and the environment, never changed afterwards."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from openfuse_collector.auth import (
    INVALID_CREDENTIALS,
    INVALID_PUBLIC_KEY,
    AuthError,
    Credentials,
    Identity,
    Scope,
)
from openfuse_collector.config.nodes import Problem
from openfuse_collector.config.parse import parse
from openfuse_collector.config.unmarshal import unmarshal
from openfuse_collector.errors import ConfigError
from openfuse_collector.extensions.api_keys.config import ApiKeysConfig, ProjectConfig, Projects, project_of, twice
from openfuse_collector.extensions.api_keys.secrets import NOBODY, SecretHash


class Key(NamedTuple):
    """A key pair and its project."""

    project_id: str
    project_name: str
    secret: SecretHash


Keyring = Mapping[str, Key]
"""Public key -> key."""


def build_keyring(config: ApiKeysConfig) -> Keyring:
    """Every key. Raises ConfigError when the file or the environment cannot be used, or a public key is there twice."""
    projects = tuple(_all_projects(config))
    problems = tuple(twice(projects))
    if problems:
        raise ConfigError(*problems)
    return dict(_keys(projects))


def check(keyring: Keyring, credentials: Credentials) -> Identity:
    """The identity behind credentials. Raises AuthError.

    The public key must be the one of the secret. Langfuse looks keys up by secret and only warns of a wrong public key.
    """
    key = keyring.get(credentials.public_key)
    if credentials.secret is None:
        if key is None:
            raise AuthError(INVALID_PUBLIC_KEY)
        return Identity(key.project_id, credentials.public_key, Scope.SCORES, key.project_name)
    right = (NOBODY if key is None else key.secret).matches(credentials.secret)
    if key is None or not right:
        raise AuthError(INVALID_CREDENTIALS)
    return Identity(key.project_id, credentials.public_key, Scope.PROJECT, key.project_name)


def read_file(path: Path) -> tuple[ProjectConfig, ...]:
    """The projects in a file. Raises ConfigError with every mistake, located; secrets are not quoted."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(f"{path}: cannot be read: {reason}") from None
    problems: list[Problem] = []
    node = parse(text, str(path), problems)
    found, more = unmarshal(node, Projects) if node is not None else (None, [])
    problems += more
    if problems or found is None:
        raise ConfigError(*(_unquoted(problem) for problem in problems))
    return found.projects


def _unquoted(problem: Problem) -> str:
    """A problem without the text it quotes: what stands in the wrong place of such a file may be a secret."""
    return str(problem).partition(", got the text")[0]


def _all_projects(config: ApiKeysConfig) -> Iterator[ProjectConfig]:
    yield from config.projects
    if config.file is not None:
        yield from read_file(config.file)
    if config.environment:
        project = project_of(os.environ)
        problems = [problem for key in project.keys for problem in key.validate()]
        if problems:
            raise ConfigError(*(f"environment: {problem}" for problem in problems))
        yield project


def _keys(projects: Iterable[ProjectConfig]) -> Iterator[tuple[str, Key]]:
    for project in projects:
        for key in project.keys:
            yield key.public_key, Key(project.id, project.name or project.id, key.hashed())
