"""The credentials for Loki, from the environment or from files that it names, never from options.

An option would be in the list of processes and in the history of the shell.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

from audit_emit._config import PREFIX as OURS
from audit_emit._config import secret_in_file
from audit_emit.errors import ConfigError

PREFIX = f"{OURS}LOKI_"
VARIABLES = ("URL", "TENANT", "USERNAME", "PASSWORD", "PASSWORD_FILE", "TOKEN", "TOKEN_FILE")
"""Endings; ``cli/_loki.py`` has the options of the first two."""


class Credentials(TypedDict):
    """Arguments of ``LokiClient``."""

    username: str | None
    password: str | None
    token: str | None


def credentials(environ: Mapping[str, str]) -> Credentials:
    """Those that are set; a variable comes before its file.

    Raises:
        ConfigError: a file cannot be read, is empty, or is not text.
    """
    return {
        "username": environ.get(f"{PREFIX}USERNAME") or None,
        "password": _secret(f"{PREFIX}PASSWORD", environ),
        "token": _secret(f"{PREFIX}TOKEN", environ),
    }


def _secret(variable: str, environ: Mapping[str, str]) -> str | None:
    path = environ.get(f"{variable}_FILE")
    if environ.get(variable) or not path:
        return environ.get(variable) or None
    try:
        return secret_in_file(f"{variable}_FILE", path).decode()
    except UnicodeDecodeError:
        raise ConfigError(f"{variable}_FILE", "names a file that is not text") from None
