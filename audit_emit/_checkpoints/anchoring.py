"""Brings checkpoints to places outside, so that the log cannot be rewritten unnoticed later.

A place is an address: ``file:/mnt/other/anchors.jsonl``, ``exec:/usr/local/bin/publish``,
``https://…``, ``s3://bucket/prefix`` (best with a lock) or ``tsa:https://…`` (a timestamp
authority, RFC 3161). They come from ``AUDIT_EMIT_ANCHORS``, never from the log's directory: a
process that can write there must not choose which program is run or which server is called.
``anchors.jsonl`` lists which checkpoint was brought to which place.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import msgspec

from audit_emit._checkpoints import durable
from audit_emit._format.checkpoint import Checkpoint
from audit_emit._format.cosignature import Count, Seconds
from audit_emit._format.line_splitter import split_lines
from audit_emit._readers.files.plain_lines import backward
from audit_emit._readers.files.regular import open_regular
from audit_emit._runtime import http_client
from audit_emit.errors import AuditEmitError, ConfigError

VARIABLE = "AUDIT_EMIT_ANCHORS"
NAME = "anchors.jsonl"
SECONDS = 30.0
"""Time limit in seconds for a command, and for a timestamp authority."""

_NOWHERE = subprocess.DEVNULL
_OURS = "AUDIT_EMIT_"
_LONGEST_LINE = 64 * 1024
_MOST = 1000
"""How many lines of ``anchors.jsonl`` are read, from its end."""


class Anchored(msgspec.Struct, frozen=True, omit_defaults=True):
    """A checkpoint that was brought to a place: one line of ``anchors.jsonl``.

    Attributes:
        v: 1.
        at: seconds since 1970, by the clock here.
        place: its address.
        size: records of the checkpoint.
        note: the signed note.
        token: of a timestamp authority, its answer in base64, over the bytes of the note.
    """

    v: int
    at: Seconds
    place: str
    size: Count
    note: str
    token: str = ""

    def to_line(self) -> bytes:
        """The line, with its newline."""
        return msgspec.json.encode(self) + b"\n"


_LINE = msgspec.json.Decoder(Anchored)


def places(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The places that the environment names, separated by white space.

    Raises:
        ConfigError: one of them is no address of a place.
    """
    found = tuple(environ.get(VARIABLE, "").split())
    for place in found:
        scheme, _, rest = place.partition(":")
        try:
            if scheme in {"file", "exec"} and rest.startswith("/"):
                continue
            if scheme == "s3" and urlsplit(place).netloc:
                continue
            http_client.check_url(rest if scheme == "tsa" else place)
        except ValueError:
            raise ConfigError(
                "anchors",
                "are file:/path, exec:/path, https://…, s3://bucket/prefix or tsa:https://…",
            ) from None
    return found


def bring(place: str, newest: Checkpoint) -> Anchored:
    """Bring a checkpoint to one place.

    Raises:
        ValueError: it is signed with a shared key, or the place answered something else.
        OSError: the place cannot be reached.
        AuditEmitError: the object store or its settings refuse.
        ModuleNotFoundError: an extra is missing.
    """
    scheme, _, rest = place.partition(":")
    note = newest.to_note(cosigned=True).to_bytes()
    made = Anchored(1, int(time.time()), place, newest.head_seq, note.decode())
    if scheme == "file":
        durable.append(rest, made.to_line())
    elif scheme == "exec":
        _run(rest, note)
    elif scheme == "s3":
        _put(place, newest, note)
    elif scheme == "tsa":
        token = base64.b64encode(_stamp(rest, note)).decode()
        return msgspec.structs.replace(made, token=token)
    else:
        answer = http_client.ask("POST", place, note)
        if not 200 <= answer.status < 300:
            raise ValueError(f"it answered {answer.status}")
    return made


def _run(program: str, note: bytes) -> None:
    # No shell, no words: the note is on its standard input, and nothing of it is a name. Our own
    # settings are not its business: the key that signs is among them, and passwords may be.
    environ = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    try:
        done = subprocess.run(  # noqa: S603 - whoever sets our environment names the program
            [program],
            input=note,
            timeout=SECONDS,
            check=False,
            stdout=_NOWHERE,
            stderr=_NOWHERE,
            env=environ,
        )
    except subprocess.TimeoutExpired:
        raise TimeoutError(f"it did not end within {SECONDS:g} s") from None
    if done.returncode:
        raise ValueError(f"it ended with status {done.returncode}")


def _put(place: str, newest: Checkpoint, note: bytes) -> None:
    from audit_emit._objects.bucket import Bucket  # noqa: PLC0415 - an extra
    from audit_emit._settings.archive import archive_settings  # noqa: PLC0415

    settings = archive_settings(os.environ, place)
    until = datetime.now(UTC) + timedelta(days=settings.lock_days) if settings.lock else None
    key = f"anchors/{newest.chain}/{newest.head_seq:020d}.note"
    with Bucket(settings) as bucket:
        try:
            bucket.put(key, io.BytesIO(note), hashlib.sha256(note).hexdigest(), until=until)
        except AuditEmitError as error:
            # The same note may have been put before the line in anchors.jsonl was written.
            if getattr(error, "reason", "") != "exists" or bucket.small(key) != note:
                raise


def _stamp(url: str, note: bytes) -> bytes:
    import rfc3161_client  # noqa: PLC0415 - an extra

    request = rfc3161_client.TimestampRequestBuilder().data(note).build()
    body, kind = request.as_bytes(), "application/timestamp-query"
    answer = http_client.ask("POST", url, body, kind=kind, seconds=SECONDS)
    if answer.status != 200:
        raise ValueError(f"it answered {answer.status}")
    response = rfc3161_client.decode_timestamp_response(answer.body)
    if response.status not in {0, 1} or response.tst_info.nonce != request.nonce:
        raise ValueError(f"it stamped nothing (status {response.status})")
    imprint = response.tst_info.message_imprint.message
    if imprint != hashlib.sha512(note).digest():
        raise ValueError("it stamped something else")
    return answer.body


class Anchors:
    """The places of one log, and what was brought there.

    Args:
        directory: where ``anchors.jsonl`` is.
        where: see ``places``.
    """

    def __init__(self, directory: str, where: Sequence[str]) -> None:
        self._path = os.path.join(directory, NAME)
        self.places = tuple(where)

    def bring(self, newest: Checkpoint) -> dict[str, str]:
        """Bring a checkpoint to each place that does not have it; errors in words, by place."""
        have = {one.place: one.size for one in reversed(list(self.done()))}
        failed: dict[str, str] = {}
        for place in self.places:
            if have.get(place) == newest.head_seq:
                continue
            try:
                durable.append(self._path, bring(place, newest).to_line())
            except ModuleNotFoundError as error:
                failed[place] = f"{error.name} is not installed"
            except (OSError, ValueError, AuditEmitError) as error:
                failed[place] = str(error) or type(error).__name__
            else:
                failed[place] = ""
        return failed

    def done(self) -> list[Anchored]:
        """What was brought, newest first, at most 1,000; nothing of it is proved."""
        found: list[Anchored] = []
        try:
            descriptor = open_regular(self._path)
        except OSError:
            return found
        try:
            for line in backward(descriptor, os.fstat(descriptor).st_size, _LONGEST_LINE):
                with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                    found.append(_LINE.decode(line))
                if len(found) >= _MOST:
                    break
        finally:
            os.close(descriptor)
        return found


def notes_in(data: bytes) -> list[Anchored]:
    """The checkpoints in a file that a place has kept: lines of ``anchors.jsonl``, or one note."""
    found: list[Anchored] = []
    for line in split_lines(data + b"\n"):
        with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            found.append(_LINE.decode(line))
    if not found:
        found.append(Anchored(1, 0, "", 0, data.decode("utf-8", "replace")))
    return found


Stamped = Callable[[bytes, bytes], int | None]
"""Given a token and the bytes of the note, the time in it; ``None`` where it does not hold."""


def stamped_by(certificates: bytes) -> Stamped:
    """Checks tokens against the certificates of an authority, which the verifier is given.

    Args:
        certificates: one or more, in PEM: the roots that are trusted.

    Raises:
        ModuleNotFoundError: an extra is missing.
        ValueError: there is no certificate.
    """
    import rfc3161_client  # noqa: PLC0415 - an extra
    from cryptography import x509  # noqa: PLC0415 - it brings it

    builder = rfc3161_client.VerifierBuilder()
    for root in x509.load_pem_x509_certificates(certificates):
        builder = builder.add_root_certificate(root)
    verifier = builder.build()

    def stamped(token: bytes, note: bytes) -> int | None:
        try:
            response = rfc3161_client.decode_timestamp_response(token)
            if not verifier.verify_message(response, note):
                return None
            return int(response.tst_info.gen_time.timestamp())
        except (rfc3161_client.VerificationError, ValueError):
            return None

    return stamped
