"""Lines below a name that are its value: a block or a list of YAML, a text up to some word."""

from __future__ import annotations

import re

from audit_emit._redaction.finders.extent import PLACEHOLDER, Span
from audit_emit._redaction.names import is_secret_name
from audit_emit._runtime.lazy import Pattern

__all__ = ["block"]

_REFERS = Pattern(r"!(?:Ref|GetAtt|ImportValue|reference)[ \t]{1,8}\Z")
"""Tags of CloudFormation and GitLab before the name of what holds the value."""
_REFERRED = Pattern(r"\[|[\"']?[A-Za-z][A-Za-z0-9.:]{1,254}[\"']?(?=[\s,}\]]|\Z)")


def _lists_names(text: str, match: re.Match[str]) -> bool:
    """Whether a list in YAML has the names of secrets, not the secrets: ``secrets: [a_token]``."""
    if match.group("list") is None or not match.group(1).lower().endswith("secrets"):
        return False
    names = _NAMES.match(text, match.end())
    return names is not None and all(
        "_" in name and is_secret_name(name) for name in names.group().split() if name != "-"
    )


_NAMES = Pattern(
    r"[a-z][a-z_]{1,40}(?:\r?\n[ \t]{0,16}-[ \t][a-z][a-z_]{1,40}){0,32}"
    r"(?=[ \t]{0,16}(?:\r?\n(?![ \t]{0,16}-)|\Z))"
)


def block(text: str, match: re.Match[str]) -> Span | None:
    """The lines of a block of YAML, of a list, or up to a word, that are the value of a name.

    Empty where they are names of what holds it.
    """
    if _lists_names(text, match) or (
        _REFERS.search(match.group()) is not None and _REFERRED.match(text, match.end()) is not None
    ):
        return match.end(), match.end()
    indent, outer, word = match.group("block", "list", "here")
    if indent is None and outer is None and word is None:
        return None
    start = end = match.end()
    if word is not None:
        last = re.compile(rf"\r?\n[ \t]{{0,16}}{re.escape(word)}\b").search(text, start)
        end = last.start() if last is not None else len(text)
    else:
        indents = (f"{outer}-", f"{outer} ") if indent is None else (indent, "\n")
        end = _indented_end(text, start, indents)
    return (start, start) if PLACEHOLDER.fullmatch(text, start, end) else (start, end)


def _indented_end(text: str, start: int, indents: tuple[str, str]) -> int:
    """Where the last line ends of those that begin as some text does."""
    end = start
    while True:
        newline = text.find("\n", end)
        line = text[start : newline if newline >= 0 else len(text)]
        if newline < 0 or not text.startswith((*indents, "\n", "\r\n"), newline + 1):
            return start + len(line.rstrip())
        end = newline + 1
