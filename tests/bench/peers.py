"""The contenders: each logs the event to the file in a directory and to descriptor 1.

An entry of ``CONTENDERS`` imports what it needs and returns an opener, so that a process pays only
for its own contender and opening can be timed without imports and events. Every peer is set up in
the fastest way its documentation names, and writes what ours writes, without redaction, limits,
lock and chain: a time, an id, the identities (bound once), the fields.
"""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from bench.contender import Contender, Opener
from bench.event import EVENT_TYPE, IDS, SERVICE, full_record, variants

LEVEL_INFO = 20


def audit_emit() -> Opener:
    """Ours, as it comes: default durability, both sinks, a key for the held-back values."""
    return _ours(variants())


def audit_emit_sealed() -> Opener:
    """Ours with one field of each event sealed under the key of one of a hundred persons."""
    from audit_emit import Subject

    events = []
    for at, fields in enumerate(variants()):
        texts = [name for name, value in fields.items() if isinstance(value, str)]
        name = texts[0] if texts else next(iter(fields))
        events.append({**fields, name: Subject(f"u-{at % 100}", fields[name])})
    return _ours(events, "subject_keys")


def _ours(events: list[dict[str, Any]], *beside: str) -> Opener:
    from audit_emit import Emitter
    from audit_emit.context import AuditContext

    def opened(directory: Path) -> Contender:
        size = os.environ.get("BENCH_MAX_BYTES")
        settings: dict[str, Any] = {"max_bytes": int(size)} if size else {}
        settings |= {name: str(directory / name) for name in beside}
        settings["signing_key"] = os.environ.get("BENCH_SIGNING_KEY")
        emitter = Emitter(
            service=SERVICE,
            jsonl=str(directory / "audit.jsonl"),
            stdout=True,
            hash_key="a key for the benchmark only",
            **settings,
        )
        emit = emitter.emit
        context = AuditContext(**IDS)

        def log(fields: dict[str, Any]) -> object:
            return emit(context, EVENT_TYPE, fields)

        return Contender(log, events, lambda: emitter.flush(timeout=30.0))

    return opened


def floor() -> Opener:
    """One encoding of a finished record and two writes: what no logger can be faster than."""
    import msgspec

    def opened(directory: Path) -> Contender:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        descriptor = os.open(directory / "floor.jsonl", flags, 0o640)
        encode = msgspec.json.Encoder().encode
        write = os.write

        def log(record: dict[str, Any]) -> None:
            line = encode(record) + b"\n"
            write(descriptor, line)
            write(1, b"audit: " + line)

        return Contender(log, [full_record(fields) for fields in variants()])

    return opened


def new_id() -> str:
    """A UUID, as anyone makes one."""
    return str(uuid.uuid4())


def _structlog(dumps: Callable[..., Any], *processors: Any) -> Opener:
    import structlog

    class Tee:
        """Two BytesLoggers behind one rendering."""

        def __init__(self, path: Path) -> None:
            self._file = structlog.BytesLogger(path.open("ab"))
            self._stdout = structlog.BytesLogger(sys.stdout.buffer)

        def info(self, line: bytes) -> None:
            self._file.info(line)
            self._stdout.info(b"audit: " + line)

    def add_id(_logger: Any, _name: str, event: Any) -> Any:
        event["id"] = new_id()
        return event

    def opened(directory: Path) -> Contender:
        logger = structlog.wrap_logger(
            Tee(directory / "structlog.jsonl"),
            processors=[
                add_id,
                *processors,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.JSONRenderer(serializer=dumps),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(LEVEL_INFO),
            cache_logger_on_first_use=True,
        ).bind(**IDS, v=1, service=SERVICE)

        def log(fields: dict[str, Any]) -> object:
            return logger.info(EVENT_TYPE, fields=fields)

        return Contender(log, variants())

    return opened


def structlog_orjson() -> Opener:
    """Structlog's native, filtering, cached logger; orjson."""
    import orjson

    return _structlog(orjson.dumps)


def structlog_msgspec() -> Opener:
    """Structlog's native, filtering, cached logger; msgspec."""
    import msgspec

    encode = msgspec.json.Encoder().encode
    return _structlog(lambda event, **_: encode(event))


_SECRET_NAME = (
    "password passwd passphrase secret token api_key apikey private_key access_key credential "
    "authorization cookie session_id otp pin cvv ssn iban"
).split()
_SECRET_TEXT = (
    r"eyJ[\w-]+\.[\w-]+\.[\w-]*|\b(?:sk|pk|rk)[-_](?:live|test|ant|proj)?[-_]?[\w-]{16,}"
    r"|\bgh[pousr]_\w{36,}|\bglpat-[\w-]{20,}|\bxox[abprs]-[\w-]{10,}|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----|(?i:bearer|basic)\s+[\w.~+/=-]{8,}"
    r"|(?i:password|passwd|secret|token|api[_-]?key)[\"']?\s*[:=]\s*\S+"
    r"|://[^/\s:@]+:[^/\s@]+@|\b(?:\d[ -]?){13,19}\b"
)


def structlog_redacting() -> Opener:
    """The same, with a processor that holds back by key and by pattern, at any depth.

    About what teams write for themselves: one pattern for names, one for texts.
    """
    import re

    import msgspec

    secret_name = re.compile("|".join(_SECRET_NAME), re.IGNORECASE).search
    replace = re.compile(_SECRET_TEXT).sub

    def redacted(value: Any) -> Any:
        if isinstance(value, str):
            return replace("[redacted]", value)
        if isinstance(value, dict):
            return {
                name: "[redacted]" if secret_name(name) else redacted(each)
                for name, each in value.items()
            }
        if isinstance(value, list | tuple):
            return [redacted(each) for each in value]
        return value

    encode = msgspec.json.Encoder().encode
    return _structlog(
        lambda event, **_: encode(event), lambda _logger, _name, event: redacted(event)
    )


def stdlib() -> Opener:
    """Logging with python-json-logger on two handlers."""
    import logging

    from pythonjsonlogger.json import JsonFormatter

    def opened(directory: Path) -> Contender:
        logger = logging.getLogger("bench")
        logger.setLevel(logging.INFO)
        logger.propagate = False
        to_file = logging.FileHandler(directory / "stdlib.jsonl")
        to_stdout = logging.StreamHandler(sys.stdout)
        for handler, prefix in ((to_file, ""), (to_stdout, "audit: ")):
            static = {**IDS, "v": 1, "service": SERVICE}
            handler.setFormatter(JsonFormatter(prefix=prefix, timestamp=True, static_fields=static))
            logger.addHandler(handler)

        def log(fields: dict[str, Any]) -> None:
            logger.info(EVENT_TYPE, extra={"id": new_id(), "fields": fields})

        return Contender(log, variants())

    return opened


def loguru() -> Opener:
    """Loguru, serialised, on two sinks."""
    from loguru import logger

    def opened(directory: Path) -> Contender:
        logger.remove()
        logger.add(directory / "loguru.jsonl", format="{message}", serialize=True)
        logger.add(sys.stdout, format="{message}", serialize=True)
        bound = cast("Any", logger.bind(**IDS, v=1, service=SERVICE))

        def log(fields: dict[str, Any]) -> None:
            bound.bind(id=new_id(), fields=fields).info(EVENT_TYPE)

        return Contender(log, variants())

    return opened


def plain_call() -> Opener:
    """See ``declared``."""
    from bench import declared

    return declared.plain_call()


def declared_event() -> Opener:
    """See ``declared``."""
    from bench import declared

    return declared.declared_event()


CONTENDERS: dict[str, Callable[[], Opener]] = {
    "audit_emit": audit_emit,
    "audit_emit_sealed": audit_emit_sealed,
    "floor": floor,
    "structlog_orjson": structlog_orjson,
    "structlog_msgspec": structlog_msgspec,
    "structlog_redacting": structlog_redacting,
    "stdlib": stdlib,
    "loguru": loguru,
    "plain_call": plain_call,
    "declared_event": declared_event,
}
