"""How to connect to Loki, from environment variables; secrets also from files that they name.

Secrets cannot be given as command-line options, which anybody can see in the list of processes and
which remain in the history of the shell.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypedDict

from audit_emit._loki.labels import OWN
from audit_emit._settings.checks import secret_in_file
from audit_emit._settings.settings import PREFIX as OURS
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
    "CA_FILE",
    "CERT_FILE",
    "KEY_FILE",
    "TIMEOUT",
    "LABELS",
)
"""The names of the variables, after the prefix. The first two are also command-line options."""

_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

TIMEOUT = 30.0
"""The most seconds for one answer, by default."""


class FromEnvironment(TypedDict):
    """The arguments of ``LokiClient`` that come from the environment."""

    username: str | None
    password: str | None
    token: str | None
    ca_file: str | None
    cert_file: str | None
    key_file: str | None
    timeout: float


def from_environment(environ: Mapping[str, str]) -> FromEnvironment:
    """Credentials and timeout. A variable takes precedence over the variable of a file.

    Raises:
        ConfigError: a file cannot be read, is empty, or is not text; or the timeout is malformed.
    """
    return {
        "timeout": _seconds(f"{PREFIX}TIMEOUT", environ),
        "username": environ.get(f"{PREFIX}USERNAME") or None,
        "password": _secret(f"{PREFIX}PASSWORD", environ),
        "token": _secret(f"{PREFIX}TOKEN", environ),
        "ca_file": environ.get(f"{PREFIX}CA_FILE") or None,
        "cert_file": environ.get(f"{PREFIX}CERT_FILE") or None,
        "key_file": environ.get(f"{PREFIX}KEY_FILE") or None,
    }


def site_labels(given: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
    """The labels that a site adds to its streams.

    Args:
        given: labels such as ``env=prod``; if there are none, those of the environment variable,
            separated by commas, are used.
        environ: the environment.

    Raises:
        ConfigError: one is malformed, or has the name of a label of the pipeline.
    """
    variable = f"{PREFIX}LABELS"
    found: dict[str, str] = {}
    for text in list(given) or [one for one in environ.get(variable, "").split(",") if one.strip()]:
        name, equals, value = text.strip().partition("=")
        if not equals or not value or not _LABEL.fullmatch(name) or name.startswith("__"):
            raise ConfigError(variable, "must be labels with their values, such as env=prod")
        if name in OWN:
            raise ConfigError(variable, f"must not name {name}, which is one of the pipeline's own")
        found[name] = value
    return found


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
