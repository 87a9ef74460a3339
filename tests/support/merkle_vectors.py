"""Merkle proofs of other makers, as test cases (transparency-dev/merkle, and our own)."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
OURS = ROOT / "tests" / "vectors" / "merkle-proofs.json"
THEIRS = ROOT / ".." / "shared" / "design" / "vectors" / "merkle-proofs.json"


def cases(path: Path, kind: str) -> list[dict[str, Any]]:
    """The cases of one kind, hashes decoded; none when there is no such file."""
    if not path.exists():
        return []
    found: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))[kind]
    return [{name: decoded(name, value) for name, value in case.items()} for case in found]


def decoded(name: str, value: Any) -> Any:
    """Base64 as bytes; a missing proof is an empty one."""
    if name == "proof":
        return [base64.b64decode(each) for each in value or []]
    if name in {"root", "root1", "root2", "leafHash"}:
        return base64.b64decode(value or "")
    return value
