"""Keys in an SSH agent (draft-ietf-sshm-ssh-agent), with the standard library.

``ssh-agent:`` is the agent of ``SSH_AUTH_SOCK``, ``ssh-agent:/path`` one at another socket.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Iterator
from urllib.parse import unquote

from audit_emit._signing.remote import Held
from audit_emit._signing.uris import Parts
from audit_emit.errors import ConfigError, SignerError

PARAMETERS: tuple[str, ...] = ()

_IDENTITIES, _ANSWER_IDENTITIES = 11, 12
_SIGN, _ANSWER_SIGN = 13, 14
_LONGEST = 256 * 1024
"""Bytes of an answer, which is also OpenSSH's limit."""

_TYPE = b"ssh-ed25519"


class SshAgent:
    """An agent at a socket; see ``Service``."""

    name: str = "the SSH agent"

    def __init__(self, path: str) -> None:
        self._path = path

    def sign(self, public: bytes, text: bytes, timeout: float) -> bytes:
        """See ``Service``."""
        request = _string(_blob(public)) + _string(text) + bytes(4)
        answer = self._asked(_SIGN, request, _ANSWER_SIGN, timeout)
        whole = next(_strings(answer, 1))
        kind, signature = _strings(whole, 2)
        if kind != _TYPE:
            raise SignerError("refused", "the SSH agent made a signature of another kind")
        return signature

    def keys(self, timeout: float) -> list[Held]:
        """See ``Service``."""
        answer = self._asked(_IDENTITIES, b"", _ANSWER_IDENTITIES, timeout)
        (count,) = struct.unpack_from(">I", answer.ljust(4, b"\0"))
        fields = list(_strings(answer[4:], 2 * min(count, _LONGEST // 8)))
        found = []
        for blob, comment in zip(fields[::2], fields[1::2], strict=True):
            parts = blob.partition(_string(_TYPE))
            if not parts[0] and parts[1] and len(parts[2]) == 36:
                found.append(Held(parts[2][4:], comment.decode("utf-8", "replace")))
        return found

    def _asked(self, kind: int, request: bytes, wanted: int, timeout: float) -> bytes:
        """The answer of the agent to one request, without its kind.

        Raises:
            SignerError: it is a refusal, or none.
            OSError: there is no agent, or not in time.
        """
        deadline = time.monotonic() + timeout
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            connection.connect(self._path)
            connection.sendall(struct.pack(">IB", len(request) + 1, kind) + request)
            (length,) = struct.unpack(">I", _received(connection, 4, deadline))
            if not 1 <= length <= _LONGEST:
                raise SignerError("refused", "the SSH agent gave an answer that is none")
            answer = _received(connection, length, deadline)
        if answer[0] != wanted:
            raise SignerError(
                "refused", "the SSH agent does not have the pinned key, or refuses to use it"
            )
        return answer[1:]


def service(name: str, parts: Parts) -> SshAgent:
    """See ``uris``."""
    path = unquote(parts.where) or os.environ.get("SSH_AUTH_SOCK", "")
    if not path:
        raise ConfigError(name, "needs an SSH agent: SSH_AUTH_SOCK, or ssh-agent:/path/of/a/socket")
    return SshAgent(path)


def _blob(public: bytes) -> bytes:
    return _string(_TYPE) + _string(public)


def _string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _strings(data: bytes, count: int) -> Iterator[bytes]:
    """The first ``count`` strings of an answer.

    Raises:
        SignerError: they are not there.
    """
    for _ in range(count):
        length = int.from_bytes(data[:4], "big")
        if len(data) < 4 + length or len(data) < 4:
            raise SignerError("refused", "the SSH agent gave an answer that is none")
        yield data[4 : 4 + length]
        data = data[4 + length :]


def _received(connection: socket.socket, size: int, deadline: float) -> bytes:
    data = b""
    while len(data) < size:
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        more = connection.recv(size - len(data))
        if not more:
            raise SignerError("refused", "the SSH agent ended the connection")
        data += more
    return data
