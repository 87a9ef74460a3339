"""Settings: one frozen value, checked when it is made, from arguments and the environment.

Every mistake in a setting raises ``ConfigError`` here, so that ``emit`` has none to report.
``docs/configuration.md`` describes every variable.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from audit_emit._redaction.rule import Rule
from audit_emit._runtime.foreign import bare_name
from audit_emit._runtime.interrupts import let_through
from audit_emit._runtime.observer import OnError
from audit_emit._runtime.words import why_not_opened
from audit_emit._settings.address import Address
from audit_emit._settings.checks import CHECKS, OPTIONAL, PIPE_BUF, Processor
from audit_emit._settings.signing import KeyRing, can_be_signed
from audit_emit._subjects.address import can_be_sealed
from audit_emit.errors import ConfigError

if TYPE_CHECKING:
    from audit_emit._schemas.schema import Schemas
    from audit_emit._stores.base import ChainStore
else:
    ChainStore = Schemas = Any
    """Not imported at run time; annotations that are resolved then still need the names."""

PREFIX = "AUDIT_EMIT_"

# Not /var/log/audit: that directory belongs to the Linux audit daemon, which keeps it at mode 0700
# and gives it an SELinux type of its own.
_SYSTEM_DIRECTORY = "/var/log/audit-emit"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one emitter. Made by ``settings()``, ``configure()`` or ``Emitter(...)``.

    Attributes:
        service: the name in every record, and the Loki label.
        jsonl: absolute path of the active segment; ``None`` when no file is kept.
        store: holds the chain in place of a file: the address of a PostgreSQL database, or a
            ``ChainStore`` of the application; ``None`` for none. With an address and ``jsonl``, the
            chain is in the file, which is shipped to the database.
        chain_by: the member of the context for each value of which the store has a chain of its
            own: ``workspace_id``; empty for one chain.
        stdout: whether lines are written to standard output; ``stderr`` when they are written to
            standard error, and descriptor 1 is not used.
        stdout_max_bytes: bytes of the longest stdout line; longer records become stubs.
        durability: ``os`` (page cache), ``group`` (synced within 200 ms) or ``always``.
        max_bytes: size, in bytes, at which the active segment is closed.
        hash_key: key for held-back values; ``None`` redacts them.
        disabled: emit nothing at all.
        processors: structlog processors run on every event, after redaction.
        on_error: called with the exception, the stage and the event id of a failure that ``emit``
            stops; see ``docs/configuration.md``.
        secret_keys: further key names whose values are secrets.
        safe_keys: key names that are never secrets.
        redaction_rules: further rules for secrets in texts, besides those of the library.
        hide_access_key_ids: whether the ids of access keys (``AKIA…``) are held back; the secret
            keys always are.
        redaction_report: whether ``_redacted`` in a record's fields says which rule held back what.
        checkpoint: whether the log is signed as it grows, in this process.
        signing_key: the keys of checkpoints, newest last; the newest one signs.
        origin: the name of the log in checkpoints, without its chain; see ``log_origin``.
        checkpoint_state: path of the file with the last signed checkpoint; by default in the
            directory of the log.
        schemas: what the fields of each declared event type must be; ``None`` for none.
        subject_keys: the store of the keys of persons (``Subject``), as an address such as
            ``slots:/path`` or ``openbao:KEY?slots=/path``; ``None`` where nothing is sealed.
        subject_actors: whether ``user_id`` is a pseudonym under the key of that person, too.
        sources: where each value came from: ``argument``, ``environment`` or ``default``.
    """

    service: str = "app"
    jsonl: str | None = None
    store: Address | ChainStore | None = None
    chain_by: str = ""
    stdout: bool | str = True
    stdout_max_bytes: int = PIPE_BUF
    durability: str = "group"
    max_bytes: int = 64 * 1024 * 1024
    hash_key: bytes | None = None
    disabled: bool = False
    processors: tuple[Processor, ...] = ()
    on_error: OnError | None = None
    secret_keys: frozenset[str] = frozenset()
    safe_keys: frozenset[str] = frozenset()
    redaction_rules: tuple[Rule, ...] = ()
    hide_access_key_ids: bool = False
    redaction_report: bool = False
    checkpoint: bool = False
    signing_key: KeyRing | None = None
    origin: str | None = None
    checkpoint_state: str | None = None
    schemas: Schemas | None = None
    subject_keys: str | None = None
    subject_actors: bool = True
    sources: Mapping[str, str] = {}

    def __post_init__(self) -> None:
        # The class is public: arguments of its constructor are checked as those of ``configure``.
        given = {name: getattr(self, name) for name in CHECKS if name in self.__struct_fields__}
        for name, value in given.items():
            if (value is None and name in OPTIONAL) or self._is_default_path(name):
                continue
            msgspec.structs.force_setattr(self, name, CHECKS[name].check(name, value))
        if self.jsonl is not None and not os.path.isabs(given["jsonl"]):
            raise ConfigError("jsonl", "must be an absolute path in Settings")
        if self.jsonl is not None and self.store is not None and self.address is None:
            raise ConfigError("store", "is an object, and the only chain then: leave jsonl out")
        can_be_signed(checkpoint=self.checkpoint, key=self.signing_key)
        can_be_sealed(self.subject_keys)

    def _is_default_path(self, name: str) -> bool:
        """Whether it is the default path, which the first event checks, as nobody has named it."""
        return name == "jsonl" and self.sources.get(name) == "default"

    def public(self) -> dict[str, Any]:
        """Every setting in a form that may be shown; of a key only whether there is one."""
        return {
            "service": self.service,
            "jsonl": self.jsonl,
            "store": None if self.store is None else _shown(self.store),
            "chain_by": self.chain_by,
            "stdout": self.stdout,
            "stdout_max_bytes": self.stdout_max_bytes,
            "durability": self.durability,
            "max_bytes": self.max_bytes,
            "hash_key": "set" if self.hash_key else "not set",
            "disabled": self.disabled,
            "processors": [title_of(p) for p in self.processors],
            "on_error": "not set" if self.on_error is None else title_of(self.on_error),
            "secret_keys": sorted(self.secret_keys),
            "safe_keys": sorted(self.safe_keys),
            "redaction_rules": [rule.id for rule in self.redaction_rules],
            "hide_access_key_ids": self.hide_access_key_ids,
            "redaction_report": self.redaction_report,
            "checkpoint": self.checkpoint,
            "signing_key": "set" if self.signing_key else "not set",
            "origin": self.origin,
            "checkpoint_state": self.checkpoint_state,
            "schemas": "not set" if self.schemas is None else _fingerprint(self.schemas),
            "subject_keys": self.subject_keys,
            "subject_actors": self.subject_actors,
        }

    @property
    def address(self) -> Address | None:
        """The address of the database; ``None`` when ``store`` is not an address."""
        return self.store if isinstance(self.store, Address) else None

    @property
    def log_origin(self) -> str:
        """``origin``, or its default, ``audit_emit/<service>``."""
        return self.origin or f"audit_emit/{self.service}"

    def fingerprint(self) -> str:
        """SHA-256 over ``public()``: a change of configuration shows in ``audit.started``."""
        public = self.public()
        try:
            whole = msgspec.json.encode(public, order="sorted")
        except UnicodeEncodeError as error:  # a path of bytes that are no UTF-8
            let_through(error)
            whole = repr(sorted(public.items())).encode()
        return hashlib.sha256(whole).hexdigest()

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """What rich shows, also in tracebacks, in place of the fields, which hold keys."""
        return list(self.public().items())

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{k}={v!r}' for k, v in self.public().items())})"


def _fingerprint(schemas: Schemas) -> str:
    from audit_emit._schemas.given import fingerprint  # noqa: PLC0415 - for those with schemas only

    return fingerprint(schemas)


def _shown(store: Address | ChainStore) -> str:
    return store.shown if isinstance(store, Address) else bare_name(type(store))


def title_of(processor: Processor | OnError) -> str:
    """The name of a processor or an observer, for people."""
    try:
        name = getattr(processor, "__qualname__", None)
    except Exception as error:  # noqa: BLE001 - called while an event is written
        let_through(error)
        name = None
    return name if type(name) is str else bare_name(type(processor))


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
    without: list[Processor] = []
    unknown = sorted(set(arguments) - set(CHECKS))
    if unknown:
        raise ConfigError(unknown[0], f"is not a setting; there are: {', '.join(CHECKS)}")
    for name, (variable, check) in CHECKS.items():
        given, shown, source = arguments.get(name), name, "argument"
        if given is None and variable:
            given, shown, source = _of(environ, variable, name), PREFIX + variable, "environment"
        if given is None:
            continue
        try:
            values[name] = check(shown, given)
        except ConfigError as error:
            if on_error is None:
                raise
            on_error(error)
            if name in _OF_REDACTION:
                without.append(rules_are_missing)
        else:
            sources[name] = source
    if without:
        values["processors"] = (*without[:1], *values.get("processors", ()))
    return _complete(values, sources, environ, on_error)


def _of(environ: Mapping[str, str], variable: str, name: str) -> str | None:
    """A variable of the environment; ``None`` if it is empty, as ``${X:-}`` makes it."""
    given = environ.get(PREFIX + variable) or None
    # Files of variables leave blanks, and no path is meant to have any.
    return given.strip() if given is not None and name == "jsonl" else given


_OF_REDACTION = ("redaction_file", "secret_keys", "redaction_rules", "hide_access_key_ids")


def rules_are_missing(*_: Any) -> NoReturn:
    """A processor that withholds the fields of every event, as configured rules are missing.

    Raises:
        ConfigError: always. The reason was reported when the settings were read.
    """
    raise ConfigError("redaction_file", "could not be used, so nobody knows what is secret")


def _complete(
    values: dict[str, Any],
    sources: dict[str, str],
    environ: Mapping[str, str],
    on_error: Callable[[ConfigError], None] | None,
) -> Settings:
    """Settle what depends on more than one value: a key's two sources, the default path."""
    for key in ("hash_key", "signing_key", "store"):
        _nearer(values, sources, key)
    store = values.get("store")
    is_object = store is not None and not isinstance(store, Address)
    if is_object and sources.get("jsonl") == "environment":
        # Arguments come first, and a store that is an object excludes a file.
        del values["jsonl"], sources["jsonl"]
    _add_rules(values, sources)
    if "jsonl" not in values and not values.get("disabled") and store is None:
        service = values.get("service", Settings().service)
        try:
            values["jsonl"] = default_path(service, environ)
        except OSError as error:
            let_through(error)
            # A relative state directory, and a working directory that is gone.
            unsettled = ConfigError(
                "jsonl", f"has no default here ({why_not_opened(error)}); set {PREFIX}JSONL"
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
    try:
        can_be_sealed(values.get("subject_keys"))
    except ConfigError as error:
        if on_error is None:
            raise
        on_error(error)
        del values["subject_keys"]
    shown = {name: sources.get(name, "default") for name in Settings.__struct_fields__}
    shown.pop("sources")
    return Settings(**values, sources=shown)


def _add_rules(values: dict[str, Any], sources: dict[str, str]) -> None:
    """Add the rules of a file to those of other settings."""
    rule_set = values.pop("redaction_file", None)
    source = sources.pop("redaction_file", "")
    if rule_set is None:
        return
    for name, given in (
        ("redaction_rules", rule_set.rules),
        ("secret_keys", rule_set.secret_keys),
        ("safe_keys", rule_set.safe_keys),
    ):
        if given:
            values[name] = type(given)((*values.get(name, ()), *given))
            sources.setdefault(name, source)


def _nearer(values: dict[str, Any], sources: dict[str, str], key: str) -> None:
    """Take a key or its file: that of an argument comes before that of the environment."""
    from_file = values.pop(f"{key}_file", None)
    source = sources.pop(f"{key}_file", "")
    nearer = sources.get(key) != "argument" and source == "argument"
    if from_file is not None and (nearer or values.get(key) is None):
        values[key] = from_file
        sources[key] = source


def system_directory(service: str) -> str:
    """The default path of the logs of ``service`` on this machine."""
    return f"{_SYSTEM_DIRECTORY}/{service}"


def default_path(service: str, environ: Mapping[str, str]) -> str:
    """``audit.jsonl`` in the system directory if that can be written, else the state directory.

    The state directory is ``$XDG_STATE_HOME`` or ``~/.local/state`` (XDG Base Directory
    Specification), and under it ``audit_emit/<service>``.
    """
    system = system_directory(service)
    if _can_hold_files(system):
        return f"{system}/audit.jsonl"
    state = environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return f"{os.path.abspath(state)}/audit_emit/{service}/audit.jsonl"


def passed_over(found: Settings) -> str:
    """The system directory, if the log is elsewhere only because that cannot be written.

    Otherwise empty. The path was not configured then, so messages with it must give the reason.
    """
    system = system_directory(found.service)
    is_default = found.jsonl is not None and found.sources.get("jsonl") == "default"
    return system if is_default and os.path.dirname(str(found.jsonl)) != system else ""


def _can_hold_files(directory: str) -> bool:
    """Whether files can be created in ``directory``, or the directory itself can be."""
    while not os.path.lexists(directory):
        directory = os.path.dirname(directory)
    return os.path.isdir(directory) and os.access(directory, os.W_OK | os.X_OK)
