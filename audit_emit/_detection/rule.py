"""One rule, as it was read: what it says of itself, and what it looks for. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from audit_emit._detection.expressions import Tree

COUNTING = ("event_count", "value_count", "value_sum", "temporal", "temporal_ordered")
"""Correlations of Sigma."""

DETECTORS = ("first_seen", "rare_hour", "silence", "changed", "baseline")
"""Ours, which Sigma cannot say."""


class Correlation(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked for over several records.

    Attributes:
        type: one of ``COUNTING`` or ``DETECTORS``.
        rules: the names of the rules whose records it is about.
        group_by: fields; each combination of their values is counted for itself.
        aliases: by the name in ``group_by``: the field that stands for it, by the name of the rule.
        timespan: nanoseconds.
        field: what is counted, summed or compared.
        least: how many, or how much, it takes.
        options: of a detector.
        generate: the rules that it is about make alerts of their own.
    """

    type: str
    rules: tuple[str, ...]
    group_by: tuple[str, ...] = ()
    aliases: Mapping[str, Mapping[str, str]] = {}
    timespan: int = 0
    field: str = ""
    least: float = 1
    options: Mapping[str, float] = {}
    generate: bool = False


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule.

    Attributes:
        name: by which others and alerts name it.
        id: the UUID, where it has one.
        title, level, status, description, author, tags, falsepositives, references: as in Sigma.
        reason: what an attacker would gain by it; ``evasion``: how they would avoid the rule.
        file, line: where it stands.
        tree: what one record must be; ``None`` for a correlation.
        correlation: what several must be.
    """

    name: str
    title: str
    file: str
    line: int
    id: str = ""
    level: str = "medium"
    status: str = ""
    description: str = ""
    author: str = ""
    tags: tuple[str, ...] = ()
    falsepositives: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    reason: str = ""
    evasion: str = ""
    tree: Tree = None
    correlation: Correlation | None = None
