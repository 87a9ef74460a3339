"""The address of a database, and the part of it that may be shown."""

from __future__ import annotations

import os
import re
from typing import TypeGuard, final

from audit_emit.errors import ConfigError

SCHEMES = ("postgresql://", "postgres://")
FILE_SCHEME = "postgresql+file://"
"""The scheme of an address that is in a file, as orchestrators mount secrets."""

_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})|%00")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")

CHOICES = ("service", "tenant", "chain")
_MOST = 4096
_SHOWN = frozenset(
    {"host", "hostaddr", "port", "dbname", "user", "service", "sslmode", "target_session_attrs"}
)
"""Parameters of libpq that are no secret; everything else of a query is not shown."""


def is_address(text: object) -> TypeGuard[str]:
    """Whether this is the address of a database, and no path."""
    return isinstance(text, str) and text.startswith((*SCHEMES, FILE_SCHEME))


def scheme_of(text: str) -> str:
    """The scheme of an address of any kind, such as ``s3://``; empty if it is no address.

    Of an unknown address nothing else may be shown, as it may hold a password.
    """
    found = _SCHEME.match(text)
    return found.group() if found is not None else ""


@final
class Address:
    """An address of PostgreSQL; its text and its ``repr`` never have the password.

    Args:
        text: ``postgresql://user@host:port/database?parameter=…`` as libpq takes it, also
            ``postgresql://?service=NAME`` (``PGSERVICE``, ``PGPASSFILE`` and the other variables
            of libpq are used, too); or ``postgresql+file:///path/of/a/file`` with such an address.
        name: of the setting, for errors.

    Raises:
        ConfigError: the address is not valid, or its file cannot be read.
    """

    __slots__ = ("_file", "_name", "_text")

    def __init__(self, text: str, name: str = "store") -> None:
        self._file = ""
        self._name = name
        if text.startswith(FILE_SCHEME):
            from urllib.parse import unquote  # noqa: PLC0415 - for those with a database only

            self._file = unquote(text.removeprefix(FILE_SCHEME))
            if not os.path.isabs(self._file):
                raise ConfigError(name, f"{FILE_SCHEME} needs an absolute path")
        self._text = "" if self._file else _checked(text, name)
        self.conninfo()

    def conninfo(self) -> str:
        """The address as libpq takes it, with the password; a file is read anew each time.

        Raises:
            ConfigError: the file cannot be read, or holds no address.
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
        """Split an address from the choice of chains after ``#``.

        Raises:
            ConfigError: the address is not valid, or the choice is none of ``CHOICES``.
        """
        from urllib.parse import parse_qsl  # noqa: PLC0415 - for those with a database only

        where, _, fragment = text.partition("#")
        address = cls(where)
        chosen: dict[str, str | None] = dict.fromkeys(CHOICES)
        for name, value in parse_qsl(fragment, keep_blank_values=True):
            if name not in CHOICES:
                # Behind an @ it may be the rest of a password with a # in it.
                shown = "something else" if "@" in fragment else name
                raise ConfigError("store", f"# is followed by {', '.join(CHOICES)}, not {shown}")
            chosen[name] = value
        return address, chosen

    @property
    def shown(self) -> str:
        """The address without its password and without parameters that may hold secrets."""
        if self._file:
            return FILE_SCHEME + self._file
        from urllib.parse import parse_qsl, quote, urlsplit  # noqa: PLC0415 - for those with a database only

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
    """Check what every address must be; the message never repeats it.

    An address is refused here, before libpq sees it, if a part of an unescaped password could be
    taken for a host, a port, a path or a parameter, and be shown as such.
    """
    if not text.startswith(SCHEMES) or not text.isprintable() or len(text) > _MOST:
        raise ConfigError(
            name, "must be an address such as postgresql://user@host/database, on one line"
        )
    from urllib.parse import urlsplit  # noqa: PLC0415 - for those with a database only

    try:
        parts = urlsplit(text)
    except ValueError:
        raise ConfigError(name, "is no address that can be read") from None
    place, path = parts.netloc, parts.path[1:]
    outside = text.partition("//")[2].removeprefix(place)
    is_cut = bool(place) and "@" not in place and "@" in outside
    if is_cut or place.count("@") > 1 or "@" in path or "/" in path or not _has_ports(place):
        raise ConfigError(
            name,
            "is no address that can be read: in a user, a password and a database, @ is written "
            "%40, / is %2F, : is %3A, ? is %3F, # is %23 and % is %25; a port is a number",
        )
    if "#" in text:
        raise ConfigError(
            name,
            "has a #: in a password it is written %23; what stands behind it chooses chains for "
            "commands that read, and nothing else",
        )
    if _BAD_ESCAPE.search(text):
        raise ConfigError(name, "has a % that is none of an escape; a % itself is written %25")
    return text


def _has_ports(place: str) -> bool:
    """Whether the port of each host is a number."""
    hosts = place.rpartition("@")[2].split(",")
    ports = [host.rpartition("]")[2].partition(":")[2] for host in hosts]
    return all(not port or port.isdecimal() for port in ports)
