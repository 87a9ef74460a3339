"""The usual shapes of an event: what services put into ``fields``, each in a thousand variants."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from typing import Any

__all__ = ["DEFAULT", "SHAPES", "variants"]

DEFAULT = "uuid"
"""The shape of the other benchmarks."""

_VARIANTS = 1000
_WORDS = "invoice report member project region export import cluster release ticket".split()
_AGENT = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Safari/537.36"
)


def _hex(draw: random.Random, digits: int) -> str:
    return f"{draw.getrandbits(4 * digits):0{digits}x}"


def _uuid(draw: random.Random) -> str:
    return str(uuid.UUID(int=draw.getrandbits(128), version=4))


def _day(draw: random.Random) -> str:
    return f"2026-{draw.randrange(1, 13):02d}-{draw.randrange(1, 29):02d}"


def _ts(draw: random.Random) -> str:
    clock = f"{draw.randrange(24):02d}:{draw.randrange(60):02d}:{draw.randrange(60):02d}"
    return f"{_day(draw)}T{clock}.{draw.randrange(10**6):06d}Z"


def _flat(draw: random.Random) -> dict[str, Any]:
    return {
        "resource": f"project/{_hex(draw, 8)}",
        "action": "archive",
        "count": draw.randrange(10_000),
        "dry_run": False,
        "region": "eu-central-1",
    }


def _with_uuid(draw: random.Random) -> dict[str, Any]:
    return {
        "key": "ANTHROPIC_API_KEY",
        "value_hash": _hex(draw, 8),
        "scope": "workspace",
        "operation": "set",
        "request": _uuid(draw),
    }


def _http_request(draw: random.Random) -> dict[str, Any]:
    return {
        "method": "POST",
        "path": f"/v1/projects/{draw.randrange(10_000)}/members",
        "route": "/v1/projects/{project_id}/members",
        "client_ip": f"10.{draw.randrange(256)}.{draw.randrange(256)}.0",
        "user_agent": _AGENT,
        "status": 201,
        "outcome": "success",
        "duration_ms": draw.randrange(100_000) / 1000,
        "bytes": draw.randrange(10_000),
    }


def _email(draw: random.Random) -> dict[str, Any]:
    name = f"{draw.choice(_WORDS)}.{draw.choice(_WORDS)}{draw.randrange(1000)}"
    return {
        "recipient": f"{name}@example.com",
        "role": "editor",
        "invited_by": _uuid(draw),
        "seats": draw.randrange(100),
    }


def _sentence(draw: random.Random) -> dict[str, Any]:
    return {
        "reason": f"The {draw.choice(_WORDS)} was moved to another owner, as the team had asked.",
        "ticket": f"OPS-{draw.randrange(100_000)}",
        "approved": True,
    }


def _url(draw: random.Random) -> dict[str, Any]:
    return {
        "link": f"https://app.example.com/{draw.choice(_WORDS)}/{_hex(draw, 8)}?page=2&sort=name",
        "referrer": "https://www.example.com/",
        "status": 302,
    }


def _timestamps(draw: random.Random) -> dict[str, Any]:
    return {
        "scheduled_for": _ts(draw),
        "due": f"{_day(draw)} 09:30:00+00:00",
        "day": _day(draw),
        "started_at": 1_780_000_000 + draw.randrange(10**6),
        "elapsed": draw.randrange(10**6) / 1000,
    }


def _nested(draw: random.Random) -> dict[str, Any]:
    return {
        "target": {"kind": "project", "number": draw.randrange(10_000), "title": "Atlas"},
        "request": {"ip": "192.0.2.17", "geo": {"country": "DE", "city": "Berlin"}},
        "limits": {"members": 20, "storage_gb": 512.5, "trial": None},
    }


def _list(draw: random.Random) -> dict[str, Any]:
    return {
        "permissions": ["read", "write", "invite"],
        "members": [f"user_{_hex(draw, 8)}" for _ in range(5)],
        "sizes": [draw.randrange(1000) for _ in range(4)],
        "rules": [{"port": 443, "allow": True}, {"port": 22, "allow": False}],
    }


def _old_and_new(draw: random.Random) -> dict[str, Any]:
    return {
        "setting": "retention_days",
        "old_value": draw.randrange(1, 30),
        "new_value": draw.randrange(30, 365),
        "changes": {"plan": {"old": "team", "new": "business"}},
    }


def _beyond_ascii(draw: random.Random) -> dict[str, Any]:
    return {
        "customer": "Jürgen Größmann",
        "city": "Kraków",
        "note": f"Der Vertrag für {draw.choice(_WORDS)} wurde geprüft und verlängert.",
        "label": f"請求書 {draw.randrange(1000)}",
    }


def _held_back(draw: random.Random) -> dict[str, Any]:
    return {
        "account": f"acct_{_hex(draw, 8)}",
        "password": f"correct horse {_hex(draw, 12)}",
        "provider": "ldap",
        "attempt": draw.randrange(5),
    }


SHAPES: dict[str, tuple[str, Callable[[random.Random], dict[str, Any]]]] = {
    "flat": ("project.archived", _flat),
    "uuid": ("secret.set", _with_uuid),
    "http.request": ("http.request", _http_request),
    "email": ("member.invited", _email),
    "sentence": ("owner.changed", _sentence),
    "url": ("link.opened", _url),
    "timestamps": ("job.scheduled", _timestamps),
    "nested": ("project.created", _nested),
    "list": ("role.granted", _list),
    "old and new": ("setting.changed", _old_and_new),
    "beyond ascii": ("contract.renewed", _beyond_ascii),
    "held back": ("login.tried", _held_back),
}
"""The type of an event, and what makes its fields."""


def variants(shape: str) -> list[dict[str, Any]]:
    """Field dicts that differ, so that nothing can be kept between calls."""
    draw = random.Random(7)  # the same in every process
    make = SHAPES[shape][1]
    return [make(draw) for _ in range(_VARIANTS)]
