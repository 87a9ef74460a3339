"""Entries of a list that take no other one as their value, though they name a secret."""

from __future__ import annotations

from audit_emit._runtime.lazy import Pattern

__all__ = ["is_code", "is_complete"]

_ALONE = Pattern(r"--?(?:no|ask|prompt)-|[^\s]{1,256}\s{1,8}\S(?![^\n]*:\Z)")
_STATEMENT = Pattern(
    r"\s{0,64}(?:async\s{1,4})?(?:(?:if|elif|while|def|class|case|unless)\s"
    r"|for\s[^\n]{1,128}?\sin\s|with\s[^\n]{1,128}?\sas\s)"
)


def is_complete(option: str) -> bool:
    """Whether an option takes no value, or has it already; ``-H X-Api-Key:`` has none yet."""
    return _ALONE.match(option.rstrip()) is not None


def is_code(entry: str) -> bool:
    """Whether a text with a sign at its end is a line of a program, which begins a block.

    ``if password != other:`` is one. Signs of a program alone tell nothing: a prompt may have a
    remark in brackets, and ``{"password":`` is a line before its value.
    """
    return _STATEMENT.match(entry) is not None
