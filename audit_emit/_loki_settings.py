"""The credentials for Loki, from the environment or from files that it names, never from options.

An option would be in the list of processes and in the history of the shell.
"""

from __future__ import annotations

from collections.abc import Mapping

from audit_emit._config import PREFIX as OURS
from audit_emit._config import secret_in_file
from audit_emit.errors import ConfigError

PREFIX = f"{OURS}LOKI_"
VARIABLES = ("URL", "TENANT", "USERNAME", "PASSWORD", "PASSWORD_FILE", "TOKEN", "TOKEN_FILE")
"""Endings; ``cli/_loki.py`` has the options of the first two."""


def credentials(environ: Mapping[str, str]) -> dict[str, str]:
    """Those that are set, as arguments of ``LokiClient``; a variable wins over its file.

    Raises:
        ConfigError: a file cannot be read, is empty, or is not text.
    """
    found = {"username": environ.get(f"{PREFIX}USERNAME", "")}
    for name in ("password", "token"):
        variable = f"{PREFIX}{name.upper()}"
        found[name] = environ.get(variable) or _from_file(f"{variable}_FILE", environ)
    return {name: value for name, value in found.items() if value}


def _from_file(variable: str, environ: Mapping[str, str]) -> str:
    path = environ.get(variable)
    if not path:
        return ""
    try:
        return secret_in_file(variable, path).decode()
    except UnicodeDecodeError:
        raise ConfigError(variable, "names a file that is not text") from None
