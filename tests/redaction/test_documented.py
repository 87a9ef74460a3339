"""The list of rules in docs/redaction.md is that of the table. Run as a program, it writes it."""

from __future__ import annotations

from pathlib import Path

from audit_emit._redaction.grammar import GRAMMAR
from audit_emit._redaction.rules import RULES
from audit_emit._redaction.rules.cloud import ACCESS_KEY_IDS

PAGE = Path(__file__).parent.parent.parent / "docs" / "redaction.md"
BEGIN = "<!-- rules: made from the table by tests/redaction/test_documented.py -->\n"
END = "<!-- end of rules -->\n"
WIDTH = 120


def listed() -> str:
    """The rules by what tells of them, as Markdown."""
    rules = sorted((*RULES, *ACCESS_KEY_IDS), key=lambda rule: rule.id)
    rows = [f"| `{rule.id}` | {_keywords(rule.keywords)} |" for rule in rules]
    context = ", ".join(f"`{rule.id}`" for rule in GRAMMAR)
    return "\n".join(
        (
            "By what stands around a secret, its name above all:\n",
            *_wrapped(context + ", `structure`; `name` (of a field), `type`."),
            "\nBy its own form:\n",
            "| Rule | Told by |",
            "|---|---|",
            *rows,
            "",
        )
    )


def _keywords(keywords: tuple[str, ...]) -> str:
    shown = ", ".join(f"`{word}`" for word in keywords[:8]).replace("|", "\\|")
    return shown + (", …" if len(keywords) > 8 else "")


def _wrapped(text: str) -> list[str]:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= WIDTH:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def page(text: str) -> str:
    """The page with the list as it is to be."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{listed()}{END}{after}"


def test_the_list_of_rules_is_that_of_the_table() -> None:
    text = PAGE.read_text()
    assert text == page(text), "run this file as a program to write the list"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
