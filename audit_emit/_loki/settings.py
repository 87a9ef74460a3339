"""How Loki is asked, from the environment; secrets also from files that it names.

Secrets are no options: those are in the list of processes and in the history of the shell.
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
"""Endings; ``cli/_loki.py`` has the options of the first two."""

_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

TIMEOUT = 30.0
"""Seconds that one answer may take."""


class FromEnvironment(TypedDict):
    """Arguments of ``LokiClient``."""

    username: str | None
    password: str | None
    token: str | None
    ca_file: str | None
    cert_file: str | None
    key_file: str | None
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
        "ca_file": environ.get(f"{PREFIX}CA_FILE") or None,
        "cert_file": environ.get(f"{PREFIX}CERT_FILE") or None,
        "key_file": environ.get(f"{PREFIX}KEY_FILE") or None,
    }


def site_labels(given: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
    """The labels that a site gives its streams beside those of the pipeline.

    Args:
        given: such as ``env=prod``; without any, those of the environment, separated by commas.

    Raises:
        ConfigError: one is no label, or one of the pipeline's own.
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
