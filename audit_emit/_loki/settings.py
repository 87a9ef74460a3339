"""How Loki is asked, from the environment; secrets also from files that it names.

Secrets are no options: those are in the list of processes and in the history of the shell.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

from audit_emit._allowed import secret_in_file
from audit_emit._config import PREFIX as OURS
from audit_emit.errors import ConfigError

PREFIX = f"{OURS}LOKI_"
VARIABLES = (
    "URL",
    "TENANT",
    "USERNAME",
    "PASSWORD",
    "PASSWORD_FILE",
    "TOKEN",
    "TOKEN_FILE",
    "TIMEOUT",
)
"""Endings; ``cli/_loki.py`` has the options of the first two."""

TIMEOUT = 30.0
"""Seconds that one answer may take."""


class FromEnvironment(TypedDict):
    """Arguments of ``LokiClient``."""

    username: str | None
    password: str | None
    token: str | None
    timeout: float


def from_environment(environ: Mapping[str, str]) -> FromEnvironment:
    """Credentials and patience; a variable comes before its file.

    Raises:
        ConfigError: a file cannot be read, is empty, or is not text; a number is none.
    """
    return {
        "timeout": _seconds(f"{PREFIX}TIMEOUT", environ),
        "username": environ.get(f"{PREFIX}USERNAME") or None,
        "password": _secret(f"{PREFIX}PASSWORD", environ),
        "token": _secret(f"{PREFIX}TOKEN", environ),
    }


def _seconds(variable: str, environ: Mapping[str, str]) -> float:
    try:
        seconds = float(environ.get(variable) or TIMEOUT)
    except ValueError:
        seconds = 0
    if not 0 < seconds <= 86400:
        raise ConfigError(variable, "must be a number of seconds, at most a day")
    return seconds


def _secret(variable: str, environ: Mapping[str, str]) -> str | None:
    path = environ.get(f"{variable}_FILE")
    if environ.get(variable) or not path:
        return environ.get(variable) or None
    try:
        return secret_in_file(f"{variable}_FILE", path).decode()
    except UnicodeDecodeError:
        raise ConfigError(f"{variable}_FILE", "names a file that is not text") from None
