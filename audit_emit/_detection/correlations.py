"""``correlation``: Sigma's kinds and our detectors, as a rule has them. Pure."""

from __future__ import annotations

import math
from typing import Any

from audit_emit._detection.members import Members
from audit_emit._detection.nodes import Node, Refuse
from audit_emit._detection.rule import COUNTING, DETECTORS, Correlation

MOST = 1000
"""What ``condition`` may ask for, where twice as many records are kept for each group."""

_COMPARISONS = ("gte", "gt", "lte", "lt", "eq", "neq")
_FIELDLESS = ("event_count", "temporal", "temporal_ordered", "silence", "rare_hour")
_DAY = 86400 * 10**9


def correlation(node: Node, ours: Members | None, status: str, refuse: Refuse) -> dict[str, Any]:
    """What a rule's ``correlation`` says, as arguments of ``Rule``.

    Args:
        ours: the rule's member ``audit_emit``, which holds the options of a detector.
        status: of the rule.

    Raises:
        RuleError: something is not understood.
    """
    found = Members(node, "'correlation'", refuse)
    kind = found.one_of("type", (*COUNTING, *DETECTORS))
    if kind in DETECTORS and (status != "unsupported" or ours is None):
        raise refuse(
            node.line,
            f"{kind} is not Sigma: the rule needs 'status: unsupported' and 'audit_emit'",
        )
    rules = found.texts("rules", one=True, needed=True)
    if not rules or len(set(rules)) < len(rules) or len(rules) > 20:
        raise refuse(node.line, "'rules' must be 1 to 20 different names")
    group_by = found.texts("group-by", one=True)
    aliases = _aliases(found, rules, refuse)
    timespan = 0
    if kind in COUNTING or kind == "silence":
        timespan = found.span("timespan")
    field, least, how = "", 1.0, found.take("condition")
    if kind in ("event_count", "value_count", "value_sum"):
        if how is None:
            raise refuse(node.line, f"{kind} needs 'condition'")
        field, least = _condition(how, kind, refuse)
    elif how is not None:
        raise refuse(how.line, f"{kind} with 'condition' is not understood")
    generate = found.flag("generate", default=False)
    found.done()
    options: dict[str, float] = {}
    if kind in DETECTORS and ours is not None:
        field, options = _options(kind, ours)
    made = Correlation(
        type=kind,
        rules=rules,
        group_by=group_by,
        aliases=aliases,
        timespan=timespan,
        field=field,
        least=least,
        options=options,
        generate=generate,
    )
    return {"correlation": made}


def _condition(node: Node, kind: str, refuse: Refuse) -> tuple[str, float]:
    """The field and the threshold."""
    found = Members(node, "'condition'", refuse)
    field = found.text("field") if kind not in _FIELDLESS else ""
    given = [name for name in _COMPARISONS if name in found]
    if given not in (["gte"], ["gt"]):
        raise refuse(
            node.line,
            f"'condition' has {' and '.join(given) or 'no comparison'}; only gte or gt is "
            "understood (for what does not happen there is the detector 'silence')",
        )
    most = float(MOST) if kind != "value_sum" else 1e15
    least = found.number(given[0], least=0, most=most)
    found.done()
    if kind == "value_sum":
        return field, math.nextafter(least, math.inf) if given == ["gt"] else least
    if not least.is_integer():
        raise refuse(node.line, "a number of records is a whole one")
    least += given == ["gt"]
    if least < 1:
        raise refuse(node.line, "a threshold of 0 is always reached")
    return field, least


def _aliases(found: Members, rules: tuple[str, ...], refuse: Refuse) -> dict[str, dict[str, str]]:
    node = found.take("aliases")
    if node is None:
        return {}
    made: dict[str, dict[str, str]] = {}
    for name, each in Members(node, "'aliases'", refuse).rest().items():
        fields = Members(each, f"the alias {name!r}", refuse)
        made[name] = {rule: fields.text(rule) for rule in rules if rule in fields}
        fields.done()
    return made


def _options(kind: str, ours: Members) -> tuple[str, dict[str, float]]:
    """What a detector needs besides: the field, and numbers by their names."""
    if kind == "first_seen":
        history = ours.span("history", 7 * _DAY)
        return ours.text("field"), {
            "history": history,
            "learning": ours.span("learning", history),
            "network": ours.flag("network", default=False),
        }
    if kind == "changed":
        return ours.text("field"), {}
    if kind == "rare_hour":
        return "", {
            "least": ours.number("least", 50, least=10, most=10_000),
            "percent": ours.number("percent", 1, least=0, most=20),
        }
    if kind == "baseline":
        return ours.text("field", ""), {
            "bucket": ours.span("bucket", 3600 * 10**9),
            "buckets": ours.number("buckets", 24, least=4, most=1000),
            "deviations": ours.number("deviations", 4, least=1, most=100),
            "least": ours.number("least", 10, least=1, most=1e12),
        }
    return "", {}
