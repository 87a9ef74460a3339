"""Records that are not linked yet, as the emitter makes them, and what a chain of rows says."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from itertools import count
from typing import Any

from support.postgres_server import Database

from audit_emit._format.chain import ZERO, body_of
from audit_emit._format.encode import to_json
from audit_emit._format.record import head_of, ts_of

_numbers = count(1)
TIME = 1_779_220_800 * 10**9


def draft(
    event_type: str = "secret.set",
    *,
    service: str = "shop",
    user: str = "u-17",
    workspace: str = "acme",
    correlation: str = "req-1",
    ns: int | None = None,
    number: int | None = None,
    **fields: Any,
) -> str:
    """A record up to its link, without the closing brace. ``number`` makes its id."""
    number = next(_numbers) if number is None else number
    record = {
        "ts": ts_of(TIME + number * 1000 if ns is None else ns),
        "event_type": event_type,
        "workspace_id": workspace,
        "user_id": user,
        "actor_kind": "user",
        "correlation_id": correlation,
        "fields": fields,
        "v": 1,
        "id": f"019ed0b1-7c00-7000-8000-{number:012d}",
        "service": service,
    }
    return to_json(record)[:-1]


def drafts(many: int, **members: Any) -> list[str]:
    return [draft(**members) for _ in range(many)]


def own_record(event_type: str, fields: dict[str, Any]) -> str:
    """What the emitter says about itself."""
    return draft(event_type, user="", workspace="", correlation="", **fields)


def lines_of(database: Database, chain: str = "") -> list[str]:
    """The lines of a chain in their order; of the only one there is by default."""
    chain = chain or only_chain(database)
    rows = database.run(
        f"SELECT line FROM audit_emit.records WHERE chain = '{chain}' ORDER BY seq, sealed_on"
    )
    return [line for (line,) in rows]


def chains_of(database: Database) -> list[tuple[str, str]]:
    """The chains and their kinds, as they were opened."""
    return [
        (chain, kind)
        for chain, kind in database.run(
            "SELECT chain, kind FROM audit_emit.heads ORDER BY opened_at"
        )
    ]


def only_chain(database: Database) -> str:
    ((chain, _),) = chains_of(database)
    return chain


def assert_unforked(lines: Sequence[str]) -> None:
    """Every line has its hash, and links to the one before."""
    before = ZERO
    for number, line in enumerate(lines, 1):
        head = head_of(line.encode())
        assert head is not None, line
        assert head.seq == number
        assert f'"prev_hash":"{before}"' in line
        assert sha256(b"\0" + body_of(line.encode())).hexdigest() == head.hash
        before = head.hash
