"""What a rule found: one alert, with every record that it is about. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

LEVELS = ("informational", "low", "medium", "high", "critical")
"""Sigma's, the mildest first."""

CLOCK_STEP, STATE_FULL, TAMPERED = "log_clock_step", "log_state_full", "log_tampered"
OWN = frozenset({CLOCK_STEP, STATE_FULL, TAMPERED})
"""Rules that nobody writes: the log itself, or this search, is not as it should be."""


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One crossing of one rule.

    Attributes:
        rule: the name of the rule, or one of ``OWN``.
        title: what it is called.
        level: one of ``LEVELS``.
        chain: of the log.
        seqs: the numbers of all records that made it cross, in their order.
        unnamed: records that belong to it, too, and are not among ``seqs`` (a sum over more
            records than are kept); 0 for nearly all.
        group: for whom it crossed: the fields of ``group-by`` with their values; ``None`` where the
            records lack one. Values of more than 64 characters are cut.
        first_ts, last_ts: times of the first and of the last of these records, as in ``ts``.
        reason: one sentence with the figures.
        at: when it crossed, as ``ts``: with the last record, or when silence had lasted too long;
            empty for what ``verify`` found.
        tags: of the rule.
    """

    rule: str
    title: str
    level: str
    chain: str
    seqs: tuple[int, ...]
    group: Mapping[str, str | None]
    first_ts: str
    last_ts: str
    reason: str
    at: str = ""
    tags: tuple[str, ...] = ()
    unnamed: int = 0

    def fields(self) -> dict[str, Any]:
        """The ``fields`` of ``audit.anomaly``, and what programs are given."""
        return {"id": self.id, **msgspec.structs.asdict(self)}

    @property
    def id(self) -> str:
        """32 hex digits that are equal for equal alerts, by which receivers leave out repeats."""
        key = (self.rule, self.chain, self.seqs, sorted(self.group.items()), self.first_ts)
        return hashlib.sha256(msgspec.json.encode(key)).hexdigest()[:32]
