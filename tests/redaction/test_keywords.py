"""Keywords are looked for one by one at first, and by patterns once that pays."""

from __future__ import annotations

from audit_emit._redaction.engine import Engine
from audit_emit._redaction.grammar import GRAMMAR
from audit_emit._redaction.keywords import Prefilter
from audit_emit._redaction.names import is_secret_name
from audit_emit._redaction.rule import sample
from audit_emit._redaction.rules import RULES

NAMES = "method path route client_ip user_agent status outcome duration_ms bytes old_value".split()
OTHERS = [
    *NAMES,
    *map("x{}".format, NAMES),
    "an ordinary sentence",
    "task-management",
    "pass-through",
    "a=b",
    "user_id: u-17",
    "",
]
TEXTS = [f"u-17 sent {example}" for rule in RULES for example in rule.examples[:1]]
TEXTS += [example for rule in GRAMMAR for example in rule.examples] + OTHERS


def test_a_text_has_the_same_secrets_before_patterns_are_compiled_and_after() -> None:
    ready = Engine()
    ready.prepare()
    fresh = Engine()
    for number, text in enumerate(TEXTS):
        if number % 4 == 0:
            fresh = Engine()
        assert fresh.find(text, is_secret_name) == ready.find(text, is_secret_name), text
        assert fresh.suspicious(text) == ready.suspicious(text), text


def test_only_who_looks_often_compiles_the_patterns_of_all_keywords() -> None:
    prefilter = Prefilter(RULES)
    compiled = []
    for _ in range(100):
        assert not prefilter.suspicious("an ordinary sentence")
        compiled.append("_of_short_texts" in vars(prefilter))
    assert not compiled[0]
    assert compiled[-1]


def test_a_secret_with_dots_in_it_is_long_as_any_other() -> None:
    ready = Engine()
    ready.prepare()
    drawn = sample("dots", "alnum", 60)
    for kind in ("t-", "api_"):
        text = f"u-17 sent {kind}{drawn[:12]}.{drawn[12:24]}.{drawn[24:30]}"
        text += f"{drawn[30:36]}.{drawn[36:42]}.{drawn[42:44]}" if kind == "api_" else ""
        assert ready.suspicious(text), kind
