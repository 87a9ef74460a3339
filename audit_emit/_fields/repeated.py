"""A secret that one field names is one wherever it stands in the fields of that record."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from audit_emit._fields.subject import Subject

__all__ = ["SHORTEST", "parts_of", "spread"]

SHORTEST = 6
"""Characters of a value that is looked for in others: a shorter one is in too many words."""
_LONGEST = 4096
_MOST = 64


def parts_of(secret: str) -> list[str]:
    """What of a secret is one by itself: behind a scheme (``Bearer x``), in a URL (``u:x@h``)."""
    scheme, space, credential = secret.rpartition(" ")
    if space and scheme.isalpha():
        return [credential]
    user, sign, _ = secret.rpartition("@")
    return [user.rpartition(":")[2]] if sign else []


def spread(
    plain: Any, secrets: Iterable[str], held_back: Callable[[object], str]
) -> tuple[Any, int]:
    """The plain value with each of the secrets held back, and in how many texts that was.

    Args:
        plain: dicts, lists and scalars; of them only containers are changed in place.
        secrets: what was held back elsewhere, by its name or its type.
        held_back: what stands in the place of a value.
    """
    known = sorted({one for one in secrets if SHORTEST <= len(one) <= _LONGEST}, key=len)[::-1]
    if not known:
        return plain, 0
    return plain, _in(plain, [(one, held_back(one)) for one in known[:_MOST]])


def _in(plain: Any, known: list[tuple[str, str]]) -> int:
    count = 0
    stack = [plain]
    numbers = {secret: held for secret, held in known if secret.isdigit()}
    while stack:
        container = stack.pop()
        if type(container) is dict:
            count += _keys(container, known)
        items = container.items() if type(container) is dict else enumerate(container)
        for at, member in list(items):
            sealed = member if type(member) is Subject else None
            value = member if sealed is None else sealed.value
            held: str | None = None
            if type(value) is str:
                held = _without(value, known)
            elif type(value) is int:
                held = numbers.get(str(value))
            elif type(value) is dict or type(value) is list:
                stack.append(value)
            if held is not None:
                container[at] = held if sealed is None else Subject(sealed.subject, held)
                count += 1
    return count


def _keys(container: dict[str, Any], known: list[tuple[str, str]]) -> int:
    changed = {key: _without(key, known) for key in container}
    if not any(changed.values()):
        return 0
    entries = [(changed[key] or key, value) for key, value in container.items()]
    container.clear()
    container.update(entries)
    return 1


def _without(text: str, known: list[tuple[str, str]]) -> str | None:
    left = text
    for secret, instead in known:
        if secret in left and left != instead:
            left = left.replace(secret, instead)
    return left if left is not text and left != text else None
