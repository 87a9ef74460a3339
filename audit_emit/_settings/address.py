"""Where the database is: what is given to us, and what of it may be shown."""

from __future__ import annotations

import os
import re
from typing import TypeGuard, final
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from audit_emit.errors import ConfigError

SCHEMES = ("postgresql://", "postgres://")
FILE_SCHEME = "postgresql+file://"
"""An address that is the first line of a file: a secret that an orchestrator mounts."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")

CHOICES = ("service", "tenant", "chain")
_MOST = 4096
_SHOWN = frozenset(
    {"host", "hostaddr", "port", "dbname", "user", "service", "sslmode", "target_session_attrs"}
)
"""Parameters of libpq that are no secret; everything else of a query is not shown."""


def is_address(text: object) -> TypeGuard[str]:
    """Whether this is an address of a database, and no path."""
    return isinstance(text, str) and text.startswith((*SCHEMES, FILE_SCHEME))


def scheme_of(text: str) -> str:
    """The scheme of an address of any kind, such as ``s3://``; empty for what is none.

    Of an address that is not understood nothing else may be shown: it may hold a password.
    """
    found = _SCHEME.match(text)
    return found.group() if found is not None else ""


@final
class Address:
    """An address of PostgreSQL; its text and its ``repr`` never have the password.

    Args:
        text: ``postgresql://user@host:port/database?parameter=…`` as libpq takes it, also
            ``postgresql://?service=NAME`` (``PGSERVICE``, ``PGPASSFILE`` and the other variables
            of libpq count, too); or ``postgresql+file:///path/of/a/file`` that holds one.

        name: of the setting, for errors.

    Raises:
        ConfigError: it is none, or its file cannot be read.
    """

    __slots__ = ("_file", "_name", "_text")

    def __init__(self, text: str, name: str = "store") -> None:
        self._file = ""
        self._name = name
        if text.startswith(FILE_SCHEME):
            self._file = unquote(text.removeprefix(FILE_SCHEME))
            if not os.path.isabs(self._file):
                raise ConfigError(name, f"{FILE_SCHEME} needs an absolute path")
        self._text = "" if self._file else _checked(text, name)
        self.conninfo()

    def conninfo(self) -> str:
        """The address as libpq takes it, with the password; a file is read anew each time.

        Raises:
            ConfigError: the file cannot be read, or holds none.
        """
        if not self._file:
            return self._text
        try:
            with open(self._file, encoding="utf-8") as file:
                line = file.read(_MOST).partition("\n")[0].strip()
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "not UTF-8"
            raise ConfigError(self._name, f"the file {self._file} cannot be read: {why}") from None
        return _checked(line, self._name)

    @classmethod
    def chosen(cls, text: str) -> tuple[Address, dict[str, str | None]]:
        """An address, and which chains are meant: what stands behind ``#``.

        Raises:
            ConfigError: it is none, or chooses by something else.
        """
        address, _, fragment = text.partition("#")
        chosen: dict[str, str | None] = dict.fromkeys(CHOICES)
        for name, value in parse_qsl(fragment, keep_blank_values=True):
            if name not in CHOICES:
                raise ConfigError("store", f"# is followed by {', '.join(CHOICES)}, not {name}")
            chosen[name] = value
        return cls(address), chosen

    @property
    def shown(self) -> str:
        """The address without its password and without parameters that may hold secrets."""
        if self._file:
            return FILE_SCHEME + self._file
        parts = urlsplit(self._text)
        place = parts.netloc
        if "@" in place:
            user, _, host = place.rpartition("@")
            place = f"{user.partition(':')[0]}@{host}"
        kept = [
            f"{quote(name)}={quote(value, safe='/,')}"
            for name, value in parse_qsl(parts.query, keep_blank_values=True)
            if name in _SHOWN
        ]
        query = f"?{'&'.join(kept)}" if kept else ""
        return f"postgresql://{place}{parts.path}{query}"

    def __str__(self) -> str:
        return self.shown

    def __repr__(self) -> str:
        return f"Address({self.shown!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Address) and (self._file, self._text) == (other._file, other._text)

    def __hash__(self) -> int:
        return hash((self._file, self._text))


def _checked(text: str, name: str) -> str:
    """What every address must be; the message never repeats it."""
    if not text.startswith(SCHEMES) or not text.isprintable() or len(text) > _MOST:
        raise ConfigError(
            name, "must be an address such as postgresql://user@host/database, on one line"
        )
    try:
        urlsplit(text)
    except ValueError:
        raise ConfigError(name, "is no address that can be read") from None
    return text
