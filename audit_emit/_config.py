"""Settings: one frozen value, checked when it is made, from arguments and the environment.

Everything that can be wrong is told here, by ``ConfigError``, so that ``emit`` never has to.
``docs/configuration.md`` describes every variable.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from audit_emit._foreign import bare_name
from audit_emit._signing.settings import can_be_signed, origin, signing_key, signing_key_file
from audit_emit.errors import ConfigError
from audit_emit.record import SERVICE

if TYPE_CHECKING:
    from audit_emit.signing import KeyRing

DURABILITIES = ("os", "group", "always")
PREFIX = "AUDIT_EMIT_"

_MIN_HASH_KEY = 16
_MIN_MAX_BYTES = 4096
_PIPE_BUF = 4096
_SYSTEM_DIRECTORY = "/var/log/audit"

Processor = Callable[[Any, str, dict[str, Any]], Any]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What one emitter does. Made by ``settings()``, ``configure()`` or ``Emitter(...)``.

    Attributes:
        service: the name in every record, and the Loki label.
        jsonl: absolute path of the active segment; ``None`` when no file is kept.
        stdout: whether lines are written to standard output.
        stdout_max_bytes: bytes of the longest stdout line; longer records become stubs.
        durability: ``os`` (page cache), ``group`` (synced within 200 ms) or ``always``.
        max_bytes: size at which the active segment is closed.
        hash_key: key for held-back values; ``None`` redacts them.
        disabled: emit nothing at all.
        processors: structlog processors run on every event, after redaction.
        secret_keys: further key names whose values are secrets.
        safe_keys: key names that are never secrets.
        checkpoint: whether the log is signed as it grows, in this process.
        signing_key: the keys of checkpoints, newest last; the newest one signs.
        origin: the name of the log in checkpoints, without its chain; see ``log_origin``.
        sources: where each value came from: ``argument``, ``environment`` or ``default``.
    """

    service: str = "app"
    jsonl: str | None = None
    stdout: bool = True
    stdout_max_bytes: int = _PIPE_BUF
    durability: str = "group"
    max_bytes: int = 64 * 1024 * 1024
    hash_key: bytes | None = None
    disabled: bool = False
    processors: tuple[Processor, ...] = ()
    secret_keys: frozenset[str] = frozenset()
    safe_keys: frozenset[str] = frozenset()
    checkpoint: bool = False
    signing_key: KeyRing | None = None
    origin: str | None = None
    sources: Mapping[str, str] = {}

    def __post_init__(self) -> None:
        # The class is public: what it is made with by hand is checked and taken as by configure.
        given = {name: getattr(self, name) for name in CHECKS if name in self.__struct_fields__}
        for name, value in given.items():
            if (value is None and name in _OPTIONAL) or self._is_default_path(name):
                continue
            msgspec.structs.force_setattr(self, name, CHECKS[name].check(name, value))
        if self.jsonl is not None and not os.path.isabs(given["jsonl"]):
            raise ConfigError("jsonl", "must be an absolute path in Settings")
        can_be_signed(checkpoint=self.checkpoint, key=self.signing_key)

    def _is_default_path(self, name: str) -> bool:
        """What lies there is found out, and told, by the first event: nobody has named it."""
        return name == "jsonl" and self.sources.get(name) == "default"

    def public(self) -> dict[str, Any]:
        """Every setting in a form that may be shown: the key is only said to be there."""
        return {
            "service": self.service,
            "jsonl": self.jsonl,
            "stdout": self.stdout,
            "stdout_max_bytes": self.stdout_max_bytes,
            "durability": self.durability,
            "max_bytes": self.max_bytes,
            "hash_key": "set" if self.hash_key else "not set",
            "disabled": self.disabled,
            "processors": [_title(p) for p in self.processors],
            "secret_keys": sorted(self.secret_keys),
            "safe_keys": sorted(self.safe_keys),
            "checkpoint": self.checkpoint,
            "signing_key": "set" if self.signing_key else "not set",
            "origin": self.origin,
        }

    @property
    def log_origin(self) -> str:
        """``origin``, or what stands for it: ``audit_emit/<service>``."""
        return self.origin or f"audit_emit/{self.service}"

    def fingerprint(self) -> str:
        """SHA-256 over ``public()``: a change of configuration shows in ``audit.started``."""
        return hashlib.sha256(msgspec.json.encode(self.public(), order="sorted")).hexdigest()

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """What rich shows, in tracebacks too: without this, the fields as they are."""
        return list(self.public().items())

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{k}={v!r}' for k, v in self.public().items())})"


def _title(processor: Processor) -> str:
    try:
        name = getattr(processor, "__qualname__", None)
    except Exception:  # noqa: BLE001 - asked for while an event is written
        name = None
    return name if type(name) is str else bare_name(type(processor))


class Setting(NamedTuple):
    """One setting: its variable's ending, and how its value is checked."""

    variable: str
    check: Callable[[str, Any], Any]


def _described(value: Any) -> str:
    """What a bad value is, without showing it: it may be a key in the wrong variable."""
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
        if number < least:
            raise ConfigError(
                name, f"must be a number of bytes, at least {least}, not {_described(value)}"
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
    """What a file holds, without white space around it; ``ConfigError`` if that is nothing."""
    try:
        # A number would be a descriptor, which open() would take over and close.
        with open(os.fspath(path), "rb") as file:
            content = file.read(65536)
    except (OSError, TypeError, ValueError) as error:
        # The path is not shown: it is the secret itself when two variables were mixed up.
        raise ConfigError(
            name, f"names a file that cannot be read: {type(error).__name__}"
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


def _processors(name: str, value: Any) -> tuple[Processor, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ConfigError(name, "must be a list of callables (logger, method_name, event_dict)")
    found = tuple(value)
    for item in found:
        if not callable(item):
            raise ConfigError(name, f"holds {bare_name(type(item))}, which cannot be called")
    return found


SETTINGS: dict[str, Setting] = {
    "service": Setting("SERVICE", _service),
    "jsonl": Setting("JSONL", _jsonl),
    "stdout": Setting("STDOUT", _boolean),
    "stdout_max_bytes": Setting("STDOUT_MAX_BYTES", _bytes_at_least(_PIPE_BUF)),
    "durability": Setting("DURABILITY", _durability),
    "max_bytes": Setting("MAX_BYTES", _bytes_at_least(_MIN_MAX_BYTES)),
    "hash_key": Setting("HASH_KEY", _hash_key),
    "hash_key_file": Setting("HASH_KEY_FILE", _hash_key_file),
    "disabled": Setting("DISABLED", _boolean),
    "secret_keys": Setting("SECRET_KEYS", _names),
    "safe_keys": Setting("SAFE_KEYS", _names),
    "checkpoint": Setting("CHECKPOINT", _boolean),
    "signing_key": Setting("SIGNING_KEY", signing_key),
    "signing_key_file": Setting("SIGNING_KEY_FILE", signing_key_file),
    "origin": Setting("ORIGIN", origin),
}
"""What the environment may set. ``processors`` are code, so only arguments set them."""

CHECKS = {**SETTINGS, "processors": Setting("", _processors)}
_OPTIONAL = ("jsonl", "hash_key", "signing_key", "origin")


def settings(
    arguments: Mapping[str, Any],
    environ: Mapping[str, str] | None = None,
    *,
    on_error: Callable[[ConfigError], None] | None = None,
) -> Settings:
    """Settings from arguments, then the environment, then the defaults.

    Args:
        arguments: by the names of ``SETTINGS`` and ``processors``; ``None`` counts as not given,
            but for ``jsonl`` use ``"off"`` to keep no file.
        environ: ``os.environ`` when not given.
        on_error: called with each bad value, which is then replaced by its default. Without it a
            bad value is raised.

    Raises:
        ConfigError: a value cannot be used, or an argument is not known.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    unknown = sorted(set(arguments) - set(CHECKS))
    if unknown:
        raise ConfigError(unknown[0], f"is not a setting; there are: {', '.join(CHECKS)}")
    for name, (variable, check) in CHECKS.items():
        given = arguments.get(name)
        shown = name
        source = "argument"
        if given is None and variable:
            # An empty variable is what `${X:-}` leaves: not set.
            given = environ.get(PREFIX + variable) or None
            if given is not None and name == "jsonl":
                given = (
                    given.strip()
                )  # files of variables leave blanks; no path is meant to have any
            shown, source = PREFIX + variable, "environment"
        if given is None:
            continue
        try:
            values[name] = check(shown, given)
        except ConfigError as error:
            if on_error is None:
                raise
            on_error(error)
        else:
            sources[name] = source
    return _complete(values, sources, environ, on_error)


def _complete(
    values: dict[str, Any],
    sources: dict[str, str],
    environ: Mapping[str, str],
    on_error: Callable[[ConfigError], None] | None,
) -> Settings:
    """Settle what depends on more than one value: a key's two sources, the default path."""
    for key in ("hash_key", "signing_key"):
        _nearer(values, sources, key)
    if "jsonl" not in values and not values.get("disabled"):
        service = values.get("service", Settings().service)
        try:
            values["jsonl"] = default_path(service, environ)
        except OSError as error:
            # A relative state directory, and a working directory that is gone.
            unsettled = ConfigError(
                "jsonl", f"has no default here ({type(error).__name__}); set {PREFIX}JSONL"
            )
            if on_error is None:
                raise unsettled from None
            on_error(unsettled)
    if values.get("signing_key") and "checkpoint" not in values:
        values["checkpoint"] = True
        sources["checkpoint"] = sources["signing_key"]
    try:
        can_be_signed(checkpoint=values.get("checkpoint", False), key=values.get("signing_key"))
    except ConfigError as error:
        if on_error is None:
            raise
        on_error(error)
        values["checkpoint"] = False
    shown = {name: sources.get(name, "default") for name in Settings.__struct_fields__}
    shown.pop("sources")
    return Settings(**values, sources=shown)


def _nearer(values: dict[str, Any], sources: dict[str, str], key: str) -> None:
    """Take the key or its file: an argument comes first, also when these are two settings."""
    from_file = values.pop(f"{key}_file", None)
    source = sources.pop(f"{key}_file", "")
    nearer = sources.get(key) != "argument" and source == "argument"
    if from_file is not None and (nearer or values.get(key) is None):
        values[key] = from_file
        sources[key] = source


def default_path(service: str, environ: Mapping[str, str]) -> str:
    """``/var/log/audit/<service>/audit.jsonl`` where that can be written, else the state directory.

    The state directory is ``$XDG_STATE_HOME`` or ``~/.local/state`` (XDG Base Directory
    Specification), and under it ``audit_emit/<service>``.
    """
    system = f"{_SYSTEM_DIRECTORY}/{service}"
    if _can_hold_files(system):
        return f"{system}/audit.jsonl"
    state = environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return f"{os.path.abspath(state)}/audit_emit/{service}/audit.jsonl"


def _can_hold_files(directory: str) -> bool:
    """Whether files can be made in ``directory``, or it can be made itself."""
    while not os.path.lexists(directory):
        directory = os.path.dirname(directory)
    return os.path.isdir(directory) and os.access(directory, os.W_OK | os.X_OK)
