"""One check per setting, for the value of an argument or the text of a variable."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from audit_emit._format.record import SERVICE
from audit_emit._redaction.user_rules import redaction_file, redaction_rules
from audit_emit._runtime.foreign import bare_name
from audit_emit._runtime.words import why_not_opened
from audit_emit._settings.address import FILE_SCHEME, Address, scheme_of
from audit_emit._settings.signing import checkpoint_state, origin, signing_key, signing_key_file
from audit_emit._subjects.address import checked_address
from audit_emit.errors import ConfigError

if TYPE_CHECKING:
    from audit_emit._schemas.schema import Schemas
    from audit_emit._stores.base import ChainStore

Durability = Literal["os", "group", "always"]
DURABILITIES: tuple[str, ...] = get_args(Durability)

CHAIN_BY = ("", "workspace_id")
_MIN_HASH_KEY = 16
_MIN_MAX_BYTES = 4096
_MOST_BYTES = 2**62
PIPE_BUF = 4096
STDERR = "stderr"
"""The value of ``stdout`` with which lines go to standard error."""

STORE_MEMBERS = (
    "traits", "sink", "attach", "unreturned", "append", "sync", "head", "health", "leave_word",
    "is_inside", "heal", "close", "after_fork",
)  # fmt: skip
"""The members of a ``ChainStore``; a test compares them with the protocol."""

Processor = Callable[[Any, str, dict[str, Any]], Any]


class Setting(NamedTuple):
    """One setting: its variable's ending, and how its value is checked."""

    variable: str
    check: Callable[[str, Any], Any]


def _described(value: Any) -> str:
    """A description of a bad value that does not show it: it may be a key in the wrong variable."""
    kind = bare_name(type(value))
    return f"a {kind} of {len(value)} characters" if isinstance(value, str) else f"a {kind}"


def _service(name: str, value: Any) -> str:
    if not isinstance(value, str) or not SERVICE.fullmatch(value):
        raise ConfigError(
            name,
            "must be 1 to 63 of a-z, 0-9, '_' and '-', beginning with a letter or digit "
            f"(for example 'secrets-api'), not {_described(value)}",
        )
    return value


def _jsonl(name: str, value: Any) -> str | None:
    if value is None or value == "off":
        return None
    try:
        path = os.fsdecode(value)
    except TypeError:
        raise ConfigError(name, f"must be a path, not {bare_name(type(value))}") from None
    if path != path.strip():
        raise ConfigError(name, "begins or ends with white space")
    if not path or "\0" in path:
        raise ConfigError(name, "must be the path of a file, or 'off' for no file")
    if scheme := scheme_of(path):
        raise ConfigError(
            name, f"must be the path of a file, not an address ({scheme}); a database is a store"
        )
    try:
        path = os.path.abspath(os.path.expanduser(path))
    except OSError:
        raise ConfigError(name, "is relative to a directory that is gone") from None
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return path
    if stat.S_ISDIR(mode):
        raise ConfigError(
            name, f"is a directory; name the file in it: {os.path.join(path, 'audit.jsonl')}"
        )
    if stat.S_ISLNK(mode):
        raise ConfigError(
            name, f"is a symbolic link, which is refused; name its target: {os.path.realpath(path)}"
        )
    if not stat.S_ISREG(mode):
        raise ConfigError(name, f"is not a regular file: {path}")
    return path


def _boolean(name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in {"1", "true", "yes", "on"}:
        return True
    if word in {"0", "false", "no", "off", ""}:
        return False
    raise ConfigError(name, f"must be 0 or 1, not {_described(value)}")


def _stdout(name: str, value: Any) -> bool | str:
    if isinstance(value, str) and value.strip().lower() == STDERR:
        return STDERR
    try:
        return _boolean(name, value)
    except ConfigError:
        raise ConfigError(name, f"must be 0, 1 or {STDERR}, not {_described(value)}") from None


def _bytes_at_least(least: int) -> Callable[[str, Any], int]:
    def check(name: str, value: Any) -> int:
        digits = value.strip() if isinstance(value, str) else ""
        try:
            number = int(digits or value)
            # Not 4096.9, nor what only Python reads as a number, such as 1_0000.
            exact = digits.isdecimal() and digits.isascii() if digits else number == value
        except (TypeError, ValueError, OverflowError):
            exact = False
        if not exact or isinstance(value, bool):
            number = -1
        if not least <= number <= _MOST_BYTES:
            raise ConfigError(
                name,
                f"must be a number of bytes, at least {least} and at most 2**62, "
                f"not {_described(value)}",
            )
        return number

    return check


def _durability(name: str, value: Any) -> str:
    if value not in DURABILITIES:
        raise ConfigError(
            name, f"must be one of {', '.join(DURABILITIES)}, not {_described(value)}"
        )
    return str(value)


def _hash_key(name: str, value: Any) -> bytes | None:
    key = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    if isinstance(key, bytes | bytearray):
        key = bytes(key)
        if not key:
            return None
    if not isinstance(key, bytes) or len(key) < _MIN_HASH_KEY:
        raise ConfigError(
            name,
            f"must be at least {_MIN_HASH_KEY} bytes, so that nobody can guess it; make one with: "
            'python -c "import secrets; print(secrets.token_hex(32))"',
        )
    return key


def _hash_key_file(name: str, value: Any) -> bytes | None:
    if value is None or value == "":
        return None
    return _hash_key(name, secret_in_file(name, value))


def secret_in_file(name: str, path: Any) -> bytes:
    """The content of a file, without white space around it.

    Raises:
        ConfigError: it cannot be read, or is empty.
    """
    try:
        # A number would be a descriptor, which open() would take over and close.
        with open(os.fspath(path), "rb") as file:
            content = file.read(65536)
    except (OSError, TypeError, ValueError) as error:
        # The path is not shown: it is the secret itself when two variables were mixed up.
        raise ConfigError(
            name, f"names a file that cannot be read: {why_not_opened(error)}"
        ) from None
    secret = content.strip()
    if not secret:
        raise ConfigError(name, "names a file that is empty")
    return secret


def _names(name: str, value: Any) -> frozenset[str]:
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, Iterable):
        raise ConfigError(name, "must be key names, as a list or separated by commas")
    kept = [item.strip() if isinstance(item, str) else item for item in names]
    if not all(isinstance(item, str) for item in kept):
        raise ConfigError(name, "must be key names, each of them a string")
    return frozenset(item for item in kept if item)


def _on_error(name: str, value: Any) -> Callable[..., Any] | None:
    if value is not None and not callable(value):
        raise ConfigError(
            name,
            f"must be a callable (error, stage, event_id), not {bare_name(type(value))}",
        )
    checked: Callable[..., Any] | None = value
    return checked


def _processors(name: str, value: Any) -> tuple[Processor, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ConfigError(name, "must be a list of callables (logger, method_name, event_dict)")
    found = tuple(value)
    for item in found:
        if not callable(item):
            raise ConfigError(name, f"holds {bare_name(type(item))}, which cannot be called")
    return found


def _store(name: str, value: Any) -> Address | ChainStore:
    if isinstance(value, Address):
        return value
    if not isinstance(value, str):
        return _chain_store(name, value)
    return Address(value.strip(), name)


def _chain_store(name: str, value: Any) -> ChainStore:
    # Looked up on its type first: a property may only work once the store is attached.
    missing = [one for one in STORE_MEMBERS if not hasattr(type(value), one)]
    missing = [one for one in missing if not hasattr(value, one)]
    if isinstance(value, type) or len(missing) == len(STORE_MEMBERS):
        raise ConfigError(
            name, f"must be an address or a ChainStore (an object), not {_described(value)}"
        )
    if missing:
        raise ConfigError(
            name, f"is no ChainStore: {bare_name(type(value))} has no {', '.join(missing)}"
        )
    store: ChainStore = value
    return store


def _store_file(name: str, value: Any) -> Address:
    try:
        path = os.path.abspath(os.fsdecode(value))
    except (TypeError, OSError, ValueError):
        raise ConfigError(name, f"must be a path, not {bare_name(type(value))}") from None
    return Address(FILE_SCHEME + path, name)


def _schemas(name: str, value: Any) -> Schemas | None:
    if value is None or value == "":
        return None
    from audit_emit._schemas.given import schemas  # noqa: PLC0415 - for those with schemas only

    return schemas(name, value)


def _subject_keys(name: str, value: Any) -> str | None:
    if value is None or value in ("", "off"):
        return None
    try:
        text = os.fsdecode(value).strip()
    except TypeError:
        raise ConfigError(
            name, f"must be a path or an address, not {bare_name(type(value))}"
        ) from None
    return checked_address(name, text)


def _chain_by(name: str, value: Any) -> str:
    if value not in CHAIN_BY:
        raise ConfigError(name, f"must be one of {', '.join(CHAIN_BY[1:])}, or empty")
    return str(value)


SETTINGS: dict[str, Setting] = {
    "service": Setting("SERVICE", _service),
    "jsonl": Setting("JSONL", _jsonl),
    "store": Setting("STORE", _store),
    "store_file": Setting("STORE_FILE", _store_file),
    "chain_by": Setting("CHAIN_BY", _chain_by),
    "stdout": Setting("STDOUT", _stdout),
    "stdout_max_bytes": Setting("STDOUT_MAX_BYTES", _bytes_at_least(PIPE_BUF)),
    "durability": Setting("DURABILITY", _durability),
    "max_bytes": Setting("MAX_BYTES", _bytes_at_least(_MIN_MAX_BYTES)),
    "hash_key": Setting("HASH_KEY", _hash_key),
    "hash_key_file": Setting("HASH_KEY_FILE", _hash_key_file),
    "disabled": Setting("DISABLED", _boolean),
    "secret_keys": Setting("SECRET_KEYS", _names),
    "safe_keys": Setting("SAFE_KEYS", _names),
    "redaction_file": Setting("REDACTION_FILE", redaction_file),
    "hide_access_key_ids": Setting("HIDE_ACCESS_KEY_IDS", _boolean),
    "redaction_report": Setting("REDACTION_REPORT", _boolean),
    "checkpoint": Setting("CHECKPOINT", _boolean),
    "signing_key": Setting("SIGNING_KEY", signing_key),
    "signing_key_file": Setting("SIGNING_KEY_FILE", signing_key_file),
    "origin": Setting("ORIGIN", origin),
    "checkpoint_state": Setting("CHECKPOINT_STATE", checkpoint_state),
    "schemas": Setting("SCHEMAS", _schemas),
    "subject_keys": Setting("SUBJECT_KEYS", _subject_keys),
    "subject_actors": Setting("SUBJECT_ACTORS", _boolean),
}
"""The settings that a variable may have: all but code (``processors``, ``on_error``, rules)."""

CHECKS = {
    **SETTINGS,
    "processors": Setting("", _processors),
    "on_error": Setting("", _on_error),
    "redaction_rules": Setting("", redaction_rules),
}
OPTIONAL = (
    *("jsonl", "store", "on_error", "hash_key", "signing_key", "origin", "checkpoint_state"),
    "schemas",
    "subject_keys",
)
