"""HTML and SVG, put together from elements: a text is escaped, whatever is in it. Pure."""

from __future__ import annotations

import html
from collections.abc import Iterable

from audit_emit._format.printable import visible

_EMPTY = frozenset({"meta"})


class Markup:
    """Markup that is finished; only this module makes it, and ``raw``."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


Content = Markup | str | int | Iterable["Content"]


def element(tag: str, /, *content: Content, **attributes: str | float) -> Markup:
    """An element.

    Args:
        tag: its name.
        content: elements, and texts, which are escaped; lists of both.
        attributes: ``class_`` is ``class``; any other ``_`` is a hyphen.
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escaped(str(value))}"'
        for key, value in attributes.items()
    )
    inside = "".join(map(_text, content))
    end = "" if tag in _EMPTY and not inside else f"{inside}</{tag}>"
    return Markup(f"<{tag}{given}>{end}")


def raw(text: str) -> Markup:
    """What is no text of a record, but a part of this package, such as a style sheet."""
    return Markup(text)


def escaped(text: str) -> str:
    """A text as it shows, between elements and in a quoted attribute alike."""
    return html.escape(visible(text), quote=True)


def _text(content: Content) -> str:
    if isinstance(content, Markup):
        return content.text
    if isinstance(content, str):
        return escaped(content)
    if isinstance(content, int):
        return f"{content:,}"
    return "".join(map(_text, content))
