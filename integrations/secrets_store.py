"""What both example services share: users, secrets and the checks of a request, on SQLite.

It knows nothing of a web framework and nothing of the audit trail, so that ``flask_app.py`` and
``fastapi_app.py`` show exactly what a service has to add to be audited. Values are stored as they
come: a real service encrypts them.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

MAX_BODY = 256 * 1024
"""Bytes of a request body that a service reads at most."""
MAX_VALUE = 16 * 1024
"""Characters of a secret's value."""
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", re.ASCII)

SCHEMA = """
CREATE TABLE IF NOT EXISTS users (
    user_id TEXT PRIMARY KEY, actor_kind TEXT NOT NULL, workspace_id TEXT NOT NULL,
    token_sha256 TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS secrets (
    workspace_id TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (workspace_id, key));
"""


class Refused(Exception):  # noqa: N818 - reads as what happened
    """The request is not carried out. Neither reason nor message repeats what a body holds."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message


class Denied(Refused):
    """The caller may not do this: 401 when nobody knows who it is, else 403."""


class Rejected(Refused):
    """The request cannot be understood."""


class User(NamedTuple):
    """Who a bearer token belongs to; ``workspace_id`` is the one workspace a user may change."""

    user_id: str
    actor_kind: str
    workspace_id: str


DEMO_USERS = (
    User("dev", "user", "acme"),
    User("ops", "user", "acme"),
    User("root", "admin", ""),
)


class SecretIn(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a request that sets a secret."""

    key: str
    value: str


def parse_secret(body: bytes) -> SecretIn:
    """The body as a secret to set.

    Raises:
        Rejected: 400 for what is not JSON, 413 for what is too large, 422 for a wrong shape.
    """
    if len(body) > MAX_BODY:
        raise Rejected(413, "body-too-large", f"the body has more than {MAX_BODY} bytes")
    try:
        secret = msgspec.json.decode(body, type=SecretIn)
    except msgspec.ValidationError as error:
        raise Rejected(422, "invalid-body", _explain(error)) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise Rejected(400, "malformed-json", "the body is not JSON") from None
    if not secret.value:
        raise Rejected(422, "empty-value", "value must not be empty")
    if len(secret.value) > MAX_VALUE:
        raise Rejected(413, "value-too-large", f"value has more than {MAX_VALUE} characters")
    check_name("key", secret.key)
    return secret


def check_name(what: str, name: str) -> None:
    """Accept a secret's key or a workspace's id.

    Raises:
        Rejected: 422, for anything but 1 to 128 ASCII letters, digits, ``_``, ``-`` and ``.``.
    """
    if not NAME.fullmatch(name):
        allowed = "1 to 128 ASCII letters, digits, _, - and ., not beginning with - or ."
        raise Rejected(422, f"invalid-{what}", f"{what} must be {allowed}")


def _explain(error: msgspec.ValidationError) -> str:
    # The name of an unknown field is the client's text, and may be the secret itself.
    if "unknown field" in str(error):
        return "unknown field: only key and value are accepted"
    return str(error)


class Store:
    """Users and secrets in one SQLite file; safe to use from many threads and processes.

    The workspace id of a global secret is the empty string.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        with self._transaction() as db:
            for statement in SCHEMA.split(";"):
                db.execute(statement)
        self.path.chmod(0o600)

    @classmethod
    def from_env(cls) -> Store:
        """The store named by ``SECRETS_DB`` (default ``secrets.db``), with its demo users.

        A token comes from ``SECRETS_TOKEN_<USER>``. Where that is not set, a random one is written
        to a file that only its owner may read, never to stdout or stderr.
        """
        store = cls(os.environ.get("SECRETS_DB", "secrets.db"))
        drawn = ""
        for user in DEMO_USERS:
            token = os.environ.get(f"SECRETS_TOKEN_{user.user_id.upper()}")
            candidate = token or secrets.token_hex(16)
            if store.add_user(user, candidate, replace=bool(token)) and not token:
                drawn += f"{user.user_id} {candidate}\n"
        if drawn:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            with open(os.open(f"{store.path}.tokens", flags, 0o600), "a", encoding="utf-8") as file:
                file.write(drawn)
        return store

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.path, timeout=5, isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            with db:
                yield db

    def add_user(self, user: User, token: str, *, replace: bool = True) -> bool:
        """Add a user, or give a known one a new token; whether anything changed.

        Only the token's hash is kept.
        """
        verb = "REPLACE" if replace else "IGNORE"
        with self._transaction() as db:
            row = (*user, _token_hash(token))
            return db.execute(f"INSERT OR {verb} INTO users VALUES (?, ?, ?, ?)", row).rowcount > 0  # noqa: S608

    def authenticate(self, authorization: str | None) -> User:
        """The user whose bearer token the ``Authorization`` header carries.

        Raises:
            Denied: 401, when there is no token or nobody has it.
        """
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Denied(401, "no-token", "a bearer token is needed")
        wanted = _token_hash(token.strip())
        with self._transaction() as db:
            rows = db.execute("SELECT user_id, actor_kind, workspace_id, token_sha256 FROM users")
            found = [User(*row[:3]) for row in rows if hmac.compare_digest(row[3], wanted)]
        if not found:
            raise Denied(401, "unknown-token", "this bearer token is not known")
        return found[0]

    def allow(self, user: User, workspace_id: str | None) -> None:
        """Let an admin through everywhere, a user in the own workspace; ``None`` means global.

        Raises:
            Denied: 403.
            Rejected: 422, for a workspace id that cannot be one.
        """
        if workspace_id is not None:
            check_name("workspace", workspace_id)
        if user.actor_kind == "admin" or user.workspace_id == workspace_id:
            return
        if workspace_id is None:
            raise Denied(403, "not-admin", "only an admin may do this")
        raise Denied(403, "not-a-member", "you are not a member of this workspace")

    def put(self, workspace_id: str | None, key: str, value: str) -> str:
        """Store a secret; ``"set"`` when it is new, ``"rotate"`` when it replaced one."""
        where = (workspace_id or "", key)
        with self._transaction() as db:
            known = db.execute("SELECT 1 FROM secrets WHERE workspace_id = ? AND key = ?", where)
            operation = "rotate" if known.fetchone() else "set"
            db.execute("INSERT OR REPLACE INTO secrets VALUES (?, ?, ?)", (*where, value))
        return operation

    def delete(self, workspace_id: str | None, key: str) -> str | None:
        """Remove a secret and return its value; ``None`` when there was nothing to remove."""
        where = (workspace_id or "", key)
        with self._transaction() as db:
            sql = "DELETE FROM secrets WHERE workspace_id = ? AND key = ? RETURNING value"
            removed = db.execute(sql, where).fetchall()
        return str(removed[0][0]) if removed else None

    def names(self, workspace_id: str | None) -> list[str]:
        """The keys of the stored secrets, sorted. A value is never handed out."""
        with self._transaction() as db:
            sql = "SELECT key FROM secrets WHERE workspace_id = ? ORDER BY key"
            return [row[0] for row in db.execute(sql, (workspace_id or "",))]


def _token_hash(token: str) -> str:
    # Tokens are long and random, so a plain hash cannot be searched. It also keeps
    # compare_digest on ASCII text whatever the client sends.
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
