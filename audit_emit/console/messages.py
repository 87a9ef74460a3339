"""The texts of the pages: all of them are in one file for each language.

``messages/en.toml`` is the catalogue. Another file beside it, named by its language, adds that
language; texts that it lacks are shown in English. Templates, JavaScript modules and errors name a
text by its table and its name (``events.older``); a test checks that all of these exist.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from markupsafe import Markup, escape

from audit_emit.console.spelled import spelled

DIRECTORY = Path(__file__).parent / "messages"
ENGLISH = "en"
_OFFERED = 8
"""Languages that a browser may ask for; more are not looked at."""

_CODE = re.compile("`([^`]+)`")
_EMPHASIS = re.compile(r"\*(\w[^*`]*)\*")
_SCRIPTS = "js"
_MODULE = """// The texts of the modules, out of the catalogue of the console.
const MESSAGES = {texts};
export function t(name, values = {{}}) {{
  return MESSAGES[name].replace(/\\{{(\\w+)\\}}/g, (_, one) => String(values[one]));
}}
"""


class Catalogue:
    """The texts of one language.

    Args:
        language: as HTML names it.
        texts: by table and name; values stand in ``{braces}``. A text has no markup but
            ```code``` and ``*emphasis*``.
    """

    def __init__(self, language: str, texts: Mapping[str, Mapping[str, str]]) -> None:
        self.language: str = language
        self.texts: Mapping[str, str] = {
            f"{table}.{name}": text
            for table, named in texts.items()
            for name, text in named.items()
        }
        self.module: str = _MODULE.format(texts=json.dumps(dict(texts.get(_SCRIPTS, {}))))

    def text(self, name: str, /, **values: object) -> str:
        """A text with values in it, spelled out where a screen would obey or not show them.

        Raises:
            KeyError: there is no such text, or it needs another value.
        """
        return self.texts[name].format(**{key: spelled(one) for key, one in values.items()})

    def markup(self, name: str, /, **values: object) -> Markup:
        """The same for a page: everything but its own markup, and that of values, is text."""
        made = str(escape(self.texts[name]))
        made = _CODE.sub(r"<code>\1</code>", _EMPHASIS.sub(r"<em>\1</em>", made))
        return Markup(made).format(  # noqa: S704 - it is escaped above
            **{key: one if isinstance(one, Markup) else spelled(one) for key, one in values.items()}
        )


@cache
def languages(directory: Path = DIRECTORY) -> tuple[str, ...]:
    """The languages that there are, English first."""
    found = sorted(path.stem for path in directory.glob("*.toml"))
    return (ENGLISH, *(one for one in found if one != ENGLISH))


@cache
def catalogue(language: str = ENGLISH, directory: Path = DIRECTORY) -> Catalogue:
    """The texts of a language that there is; what it lacks is English."""
    english, own = (
        tomllib.loads((directory / f"{one}.toml").read_text("utf-8")) for one in (ENGLISH, language)
    )
    return Catalogue(
        language, {table: {**texts, **own.get(table, {})} for table, texts in english.items()}
    )


def chosen(accepted: str, directory: Path = DIRECTORY) -> Catalogue:
    """The first language of ``Accept-Language`` that there is, by its weight (RFC 9110, 12.5.4)."""
    weighed = []
    for part in accepted.split(",", _OFFERED)[:_OFFERED]:
        name, _, weight = part.partition(";")
        weighed.append((_weight(weight), name.strip().lower().partition("-")[0]))
    there = languages(directory)
    wanted = [name for weight, name in sorted(weighed, key=lambda one: -one[0]) if weight > 0]
    return catalogue(next((name for name in wanted if name in there), ENGLISH), directory)


def _weight(text: str) -> float:
    found = re.fullmatch(r"\s*q=([01](?:\.[0-9]{0,3})?)\s*", text, re.ASCII)
    return float(found[1]) if found else 0.0 if text else 1.0


def text(name: str, /, **values: object) -> str:
    """A text in English: for programs, and where the language of the user is not known yet."""
    return catalogue().text(name, **values)
