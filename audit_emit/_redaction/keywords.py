"""Whether any keyword of any rule is in a text: the one prefilter, made from the rules themselves.

In Python it is regular expressions, for the compiled part a table that says the same (``table``).
A text with a keyword that counts only beside a long run, and without such a run, is harmless.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from audit_emit._redaction.alphabet import folded_text
from audit_emit._redaction.anchors import anchored, any_of, signs_in_each
from audit_emit._redaction.grammar import Grammar
from audit_emit._redaction.rule import BEFORE, LONG_RUN, RUN, Rule
from audit_emit._runtime.lazy import Pattern, lazy_attribute

__all__ = ["Folded", "Group", "Prefilter"]

_SHORT = 1024
"""Characters of a text that is searched by ``anchored``, as nearly all texts of an event are."""
_FEW = 16
"""So many times words are looked for one by one: to compile a pattern of hundreds of them takes as
long as some hundred such looks, and many a process has fewer events."""
_BRIEF = 256
"""Characters of a text for which that holds."""
_MOST_SIGNS = 3
"""So many characters are looked for one by one faster than by a pattern."""

Search = Callable[[str], re.Match[str] | None]

ALONE, ALONE_AT_START, WITH_RUN, WITH_RUN_AT_START = 1, 2, 4, 8
"""How a keyword counts in the table of the compiled part: anywhere, or where no letter or digit is
before it; by itself, or beside a long run."""


class Prefilter:
    """The keywords of some rules, and which rules each of them belongs to.

    Args:
        rules: in the order in which they are asked.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = rules
        self._asked = 0
        self.suspicious: Callable[[str], bool] = self._suspicious_at_first
        """Whether some rule has to look at a text: False only when none would find anything.

        It may be asked for JSON with many texts in it as well, as long as no character of a
        keyword is escaped there and what is escaped is looked at text by text.
        """

    def _suspicious_at_first(self, text: str) -> bool:
        if self._asked < _FEW and len(text) <= _BRIEF:
            return bool(self._one_by_one(text))
        self.prepare()
        return self.suspicious(text)

    def _suspicious(self, text: str) -> bool:
        if len(text) <= _SHORT:
            certain, with_run = self._of_short_texts
            if certain is not None and certain(text) is not None:
                return True
            if with_run is None or len(text) < RUN or with_run(text) is None:
                return False
            return LONG_RUN.search(text) is not None
        for search in self._certain:
            if search(text) is not None:
                return True
        for search in self._with_run:
            if search(text) is not None:
                return LONG_RUN.search(text) is not None
        return False

    def rules_for(self, text: str) -> list[Rule]:
        """The rules one of whose keywords is in a text."""
        if self._asked < _FEW and len(text) <= _BRIEF:
            return self._one_by_one(text)
        if not self.suspicious(text):
            return []
        heads = {head for find in self._heads for head in find(text)}
        found = [
            rule
            for head in sorted(heads)
            for keyword, rules in self._by_head[head]
            if keyword == head or keyword in text
            for rule in rules
        ]
        return list(dict.fromkeys(found)) if len(found) > 1 else found

    def prepare(self) -> None:
        """Expect many texts: patterns are worth it from now on."""
        self._asked = _FEW
        self.suspicious = self._suspicious

    def _one_by_one(self, text: str) -> list[Rule]:
        self._asked += 1
        known = self._by_keyword
        found = [
            rule
            for word in filter(text.__contains__, known)
            for rule in known[word]
            if _counts(rule, word, text)
        ]
        return list(dict.fromkeys(found))

    @lazy_attribute
    def _by_keyword(self) -> dict[str, list[Rule]]:
        known: dict[str, list[Rule]] = {}
        for rule in self.rules:
            for keyword in rule.keywords:
                known.setdefault(keyword, []).append(rule)
        return known

    @lazy_attribute
    def _by_head(self) -> dict[str, list[tuple[str, list[Rule]]]]:
        """The keywords that begin with each head, and the rules that have them."""
        known = self._by_keyword
        groups: dict[str, list[tuple[str, list[Rule]]]] = {}
        for keyword, rules in known.items():
            for size in range(2, len(keyword) + 1):
                if keyword[:size] in known:
                    groups.setdefault(keyword[:size], []).append((keyword, rules))
        return groups

    @lazy_attribute
    def _heads(self) -> list[Callable[[str], list[str]]]:
        """What gives, for each place where a keyword begins, the shortest that begins there."""
        return [re.compile(f"(?=({source}))").findall for source in _sources(self.rules)]

    @lazy_attribute
    def _of_short_texts(self) -> tuple[Search | None, Search | None]:
        return (
            _anchored_search(rule for rule in self.rules if not rule.long_run),
            _anchored_search(rule for rule in self.rules if rule.long_run),
        )

    @lazy_attribute
    def _certain(self) -> list[Search]:
        return _searches(rule for rule in self.rules if not rule.long_run)

    @lazy_attribute
    def _with_run(self) -> list[Search]:
        return _searches(rule for rule in self.rules if rule.long_run)


def _counts(rule: Rule, word: str, text: str) -> bool:
    """Whether a keyword that is in a text counts there, as the patterns have it.

    What is judged is remembered, so the first looks must not say more than the later ones.
    """
    if rule.long_run and LONG_RUN.search(text) is None:
        return False
    if not rule.word_start:
        return True
    at = text.find(word)
    while at > 0 and text[at - 1].isascii() and text[at - 1].isalnum():
        at = text.find(word, at + 1)
    return at >= 0


def _searches(rules: Iterable[Rule]) -> list[Search]:
    """What finds the keywords of some rules; two patterns take a third of the time of one."""
    return [re.compile(source).search for source in _sources(rules)]


def _anchored_search(rules: Iterable[Rule]) -> Search | None:
    within, at_start = _by_start(rules)
    if not within and not at_start:
        return None
    return re.compile(_anchored(frozenset(within), frozenset(at_start))).search


def _by_start(rules: Iterable[Rule]) -> tuple[set[str], set[str]]:
    """The keywords that count anywhere, and those that count at a start only."""
    within: set[str] = set()
    at_start: set[str] = set()
    for rule in rules:
        (at_start if rule.word_start else within).update(rule.keywords)
    return within, at_start


def _sources(rules: Iterable[Rule]) -> list[str]:
    within, at_start = _by_start(rules)
    sources = [any_of(frozenset(within))] if within else []
    if at_start:
        sources.append(BEFORE.format("") + any_of(frozenset(at_start)))
    return sources


@lru_cache(maxsize=16)
def _anchored(within: frozenset[str], at_start: frozenset[str]) -> str:
    return anchored(within, at_start, BEFORE.format(""))


def _guarded(search: Search, signs: str) -> Callable[[str], object]:
    """Look for the few characters first that the words cannot do without."""

    def found(text: str) -> object:
        for char in signs:
            if char in text:
                return search(text)
        return None

    return found


class _Words:
    """Words that are looked for in texts: one by one at first, by a pattern once that pays.

    Args:
        words: what is looked for.
        source: of the pattern.

    Attributes:
        found: whether one of them is in a text; ``None`` where none is.
    """

    def __init__(self, words: frozenset[str], source: Callable[[frozenset[str]], str]) -> None:
        self._words = words
        self._source = source
        self._asked = 0
        self.found: Callable[[str], object] = self._one_by_one

    def _one_by_one(self, text: str) -> object:
        self._asked += 1
        if self._asked <= _FEW and len(text) <= _BRIEF:
            return any(map(text.__contains__, self._words)) or None
        search = re.compile(self._source(self._words)).search
        signs = signs_in_each(self._words, _MOST_SIGNS)
        self.found = _guarded(search, signs) if signs else search
        return self.found(text)

    def prepare(self) -> None:
        """Look with the pattern from now on."""
        self._asked = _FEW


class Folded:
    """The same of rules by what stands around a secret: keywords in any spelling, beside marks.

    Args:
        rules: in the order in which they are asked.
        names: further keywords of those that ask for a name.
    """

    def __init__(self, rules: Sequence[Grammar], names: tuple[str, ...] = ()) -> None:
        groups: dict[tuple[tuple[str, ...], bool, bool], list[Grammar]] = {}
        for rule in rules:
            words = (*rule.keywords, *(names if rule.named else ()))
            groups.setdefault((words, rule.ignore_case, rule.alone), []).append(rule)
        self.groups: list[Group] = [
            Group(words, ignore_case, group, alone=alone)
            for (words, ignore_case, alone), group in groups.items()
        ]
        self._alone = [group for group in self.groups if group.alone]
        self._others = [group for group in self.groups if not group.alone]
        self._unmarked = [group for group in self._others if not group.marks]
        self._marks = frozenset("".join(group.marks for group in self._others))
        sought = frozenset(folded_text(word) for group in self._others for word in group.words)
        self._any = _Words(sought, any_of)
        self._any_in_short = _Words(sought, lambda words: _anchored(words, frozenset()))

    def suspicious(self, text: str) -> bool:
        """Whether some rule has to look at a text: False only when none would find anything."""
        for group in self._alone:
            if group.suspicious(text):
                return True
        lower = text.lower() if text.isascii() else folded_text(text)
        if not self._tells_by(text, lower):
            return False
        return any(group.suspicious(text, lower) for group in self._asked(text))

    def suspects(self, text: str, *, by_context: bool) -> list[Callable[[str], bool]]:
        """The questions that make a text suspicious, to be asked of parts of it.

        Args:
            text: all of it.
            by_context: what ``may_tell`` says of it.
        """
        found: list[Callable[[str], bool]] = [
            group.suspicious
            for group in self._alone
            if group.mark in text and group.suspicious(text)
        ]
        if by_context:
            lower = text.lower() if text.isascii() else folded_text(text)
            found += [g.suspicious for g in self._asked(text) if g.suspicious(text, lower)]
        return found

    def _asked(self, text: str) -> list[Group]:
        """The groups to ask of a text: an id has no mark of any.

        Without a pattern: to compile one of so many characters takes longer than an event may, and
        signal handlers that emit would each begin anew.
        """
        return self._unmarked if self._marks.isdisjoint(text) else self._others

    def may_tell(self, text: str) -> bool:
        """Whether a text may say what a value beside it is: it has a keyword of some rule."""
        return self._tells_by(text, folded_text(text))

    def _tells_by(self, text: str, lower: str) -> bool:
        words = self._any if len(text) > _SHORT else self._any_in_short
        return words.found(lower) is not None

    def prepare(self) -> None:
        """Expect many texts: patterns are worth it from now on."""
        for words in (self._any, self._any_in_short, *(group.known for group in self.groups)):
            words.prepare()

    def tells(self, text: str) -> bool:
        """Whether it may, besides by the names of secrets."""
        return any(group.tells and group.known.found(text) is not None for group in self._others)

    def rules_for(self, text: str) -> list[Grammar]:
        """The rules that have to look at a text."""
        lower = text.lower() if text.isascii() else folded_text(text)
        signs = set(text)
        return [
            rule
            for group in self.groups
            if group.suspicious(text, lower)
            for rule in group.rules
            if rule.needs in text and (not rule.marks or not signs.isdisjoint(rule.marks))
        ]


class Group:
    """Rules of the same keywords, which are looked for once, and the marks of all of them."""

    def __init__(
        self, words: tuple[str, ...], ignore_case: bool, rules: list[Grammar], *, alone: bool
    ) -> None:
        self.rules = rules
        self.alone = alone
        self.words = words
        self.ignore_case = ignore_case
        self.names = any(rule.named for rule in rules)
        self.tells = not ignore_case and not self.names and not alone
        marks = "" if any(not rule.marks for rule in rules) else "".join(r.marks for r in rules)
        self.marks = "".join(sorted(set(marks)))
        self.mark = marks if len(marks) == 1 else ""
        self._few = self.marks if len(self.marks) <= _MOST_SIGNS else ""
        self._all_marks = frozenset(self.marks)
        self._marks = Pattern(f"[{re.escape(self.marks)}]") if len(marks) > 1 else None

    @lazy_attribute
    def known(self) -> _Words:
        """What finds one of the keywords in a text, which is folded where case does not count."""
        sought = map(folded_text, self.words) if self.ignore_case else self.words
        return _Words(frozenset(sought), any_of)

    def suspicious(self, text: str, lower: str = "") -> bool:
        if self.mark not in text:
            return False
        if self._marks is not None and not self._is_marked(text):
            return False
        if not self.ignore_case:
            return self.known.found(text) is not None
        return self.known.found(lower or folded_text(text)) is not None

    def _is_marked(self, text: str) -> bool:
        for mark in self._few:  # a generator takes longer than it finds
            if mark in text:
                return True
        if self._few or self._marks is None:
            return False
        if len(text) <= _BRIEF:  # no pattern has to be compiled for the first short texts
            return not self._all_marks.isdisjoint(text)
        return self._marks.search(text) is not None
