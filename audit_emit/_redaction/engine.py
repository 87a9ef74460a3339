"""All rules together: whether a text has to be looked at, and what in it is secret."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from audit_emit._redaction import digits
from audit_emit._redaction.finders import structures
from audit_emit._redaction.finders.containers import BEGIN, MAX_TOKENS
from audit_emit._redaction.finders.extent import PLACEHOLDER
from audit_emit._redaction.finders.named_places import SecretNames
from audit_emit._redaction.finders.references import is_reference
from audit_emit._redaction.grammar import GRAMMAR, Grammar
from audit_emit._redaction.keywords import Folded, Prefilter
from audit_emit._redaction.readings import MARKS, Reading, escaped, quoted, readings
from audit_emit._redaction.rule import Rule, Span
from audit_emit._redaction.rules import RULES
from audit_emit._runtime.lazy import Pattern

__all__ = ["MOST_FOUND", "Engine", "Found"]


_MOST_OF_ONE_RULE = 512
_MAX_OF_EACH_READING = 4096
_ESCAPED_TAIL = Pattern(r"[%\\&][^\s\"'<>,;]{0,256}")
_MAX_NESTED = 2
MOST_FOUND = 64
"""A text with more secrets in it is held back from there on."""
_BY_NAME = frozenset(("assignment", "name-and-value", "cell"))
"""Rules by the name before a value. Of a member of a dict, the dict says more."""
_BETWEEN = " \t\r\n,:;"


class Found(NamedTuple):
    """A part of a text that must not be shown, and the rule that says so."""

    start: int
    end: int
    rule: str


class _Left:
    """What may still be looked at of the texts in quotes within the dicts and lists of one text.

    They may be in each other, so that without bounds each character would be looked at many times.
    What is beyond them is held back.

    Attributes:
        texts: so many more of them, and ``characters`` in all.
        tokens: words and signs of the dicts and lists in them.
        found: for those in the text itself, and for those in such a text: places of secrets.
    """

    __slots__ = ("characters", "found", "texts", "tokens")

    def __init__(self) -> None:
        self.texts = 32
        self.characters = 8192
        self.tokens = MAX_TOKENS
        self.found = [MOST_FOUND] * (_MAX_NESTED + 1)

    def takes(self, text: str) -> bool:
        """Whether another text may be looked at."""
        self.texts -= 1
        self.characters -= len(text)
        return self.texts >= 0 and self.characters >= 0


class Engine:
    """The rules of the library and those of a user. Safe to share between threads.

    Args:
        rules: a user's own.
        names: parts of a user's secret names in lower case, one of which is in each of them.
    """

    def __init__(self, rules: Sequence[Rule] = (), names: Iterable[str] = ()) -> None:
        self.prefilter: Prefilter = Prefilter((*rules, *RULES))
        self.folded: Folded = Folded([rule for rule in GRAMMAR if not rule.digits], tuple(names))
        self._of_digits = [rule for rule in GRAMMAR if rule.digits]
        self.passes: Callable[[str], bool] | None = None
        """Says of a text at once, by the tables of these rules, that ``find`` would find nothing;
        False where it does not know. Until it does not, no pattern has to be compiled."""

    def prepare(self) -> None:
        """Expect many texts: patterns are worth it from now on."""
        self.prefilter.prepare()
        self.folded.prepare()

    def suspicious(self, text: str) -> bool:
        """Whether ``find`` has to look: False only when it would find nothing."""
        if self.passes is not None and self.passes(text):
            return False
        if self._suspicious(text):
            return True
        return any(self._suspicious(steps[-1].text) for steps in readings(text))

    def suspects(self, text: str, *, by_context: bool) -> list[Callable[[str], bool]]:
        """What makes several texts, joined by a character that means nothing, suspicious.

        Args:
            text: all of them.
            by_context: whether a keyword of a rule by context is in it (``Folded.may_tell``).

        Returns:
            Questions, at least one of which is answered with yes for a text of them for which
            ``suspicious`` would be; empty when there is none.
        """
        if escaped(text) and any(readings(text)):
            return [self.suspicious]
        found = self.folded.suspects(text, by_context=by_context)
        if self.prefilter.suspicious(text):
            found.append(self.prefilter.suspicious)
        if _has_digits(text):
            found.append(_has_digits)
        return found

    def _suspicious(self, text: str) -> bool:
        return self.prefilter.suspicious(text) or self.folded.suspicious(text) or _has_digits(text)

    def find(
        self,
        text: str,
        is_secret: Callable[[str], bool],
        is_member: Callable[[str], bool] | None = None,
    ) -> list[Found]:
        """The parts of a text that must not be shown, in order, not overlapping.

        Args:
            text: at most some KiB; the cost is linear in it.
            is_secret: whether a name is that of a secret, for names with a value (``password=…``).
            is_member: the same for the members of dicts, where it is another answer.
        """
        # What a text has no mark of is not entered: most have no escapes, and no dicts in them.
        has_escapes, has_dicts = MARKS.search(text) is not None, BEGIN.search(text) is not None
        by_context = self._by_context(text)
        if not by_context and not has_escapes and not has_dicts:
            found = self._by_keyword(text)
            end = _last_looked_at(found, len(text))
            if end < len(text):
                found.append(Found(end, len(text), found[0].rule))
            return _merge(_not_yet_redacted(text, found)) if found else found
        is_secret = SecretNames(is_secret)
        is_member = is_secret if is_member is None else SecretNames(is_member)
        undone = list(readings(text)) if has_escapes else []
        if undone and len(text) > _MAX_OF_EACH_READING:
            return self._in_long(text, undone[-1], is_secret, is_member)
        judged = structures.Judged(text, is_member) if has_dicts else None
        found = [
            one for one in self._find(text, is_secret, by_context) if not _is_settled(one, judged)
        ]
        end = _last_looked_at(found, len(text))
        if end < len(text):
            found.append(Found(end, len(text), found[0].rule))
        for steps in undone:
            found += self._in_reading(steps, judged, is_secret, is_member)
        left = _Left()
        if judged is not None:
            found += self._in_structures(judged, found, is_secret, left, until=end)
        if undone and (judged is None or not judged.containers):
            steps = undone[-1]
            inner = structures.Judged(steps[-1].text, is_member)
            for start, end, rule in self._in_structures(inner, [], is_secret, left):
                found.append(Found(*_placed(steps, (start, end)), rule))
        return _merge(_not_yet_redacted(text, found)) if found else found

    def _in_reading(
        self,
        steps: list[Reading],
        judged: structures.Judged | None,
        is_secret: SecretNames,
        is_member: SecretNames,
    ) -> Iterator[Found]:
        """What a reading of a text says besides.

        What ``judged`` says of the text itself is not enough: there a name may be escaped.
        """
        within: structures.Judged | None = None
        for one in self._find(steps[-1].text, is_secret):
            placed = Found(*_placed(steps, one[:2]), one.rule)
            if _is_settled(placed, judged):
                within = within or structures.Judged(steps[-1].text, is_member)
                if _is_settled(one, within):
                    continue
            yield placed
        for span in within.held if within is not None else ():
            yield Found(*_placed(steps, span), "structure")

    def _in_long(
        self, text: str, steps: list[Reading], is_secret: SecretNames, is_member: SecretNames
    ) -> list[Found]:
        """The same of a long text with escapes: only what it says at last is looked at.

        A value in it may end at an escaped space or sign, so what follows there is held back, too.
        """
        found = self._by_keyword(text)
        said = steps[-1].text
        inner = list(self._find(said, is_secret))
        until = _last_looked_at(inner, len(said))
        if until < len(said):
            inner.append(Found(until, len(said), inner[0].rule))
        judged = structures.Judged(said, is_member)
        inner += self._in_structures(judged, inner, is_secret, _Left(), until=until)
        for one in inner:
            start, end = _placed(steps, one[:2])
            further = _ESCAPED_TAIL.match(text, end)
            found.append(Found(start, end if further is None else further.end(), one.rule))
        return _merge(_not_yet_redacted(text, found)) if found else found

    def _by_keyword(self, text: str) -> list[Found]:
        """What the rules find that ask for nothing but what a secret looks like."""
        return [
            one
            for rule in self.prefilter.rules_for(text)
            for one in _some(rule.id, rule.spans(text), len(text))
        ]

    def _by_context(self, text: str) -> list[Grammar]:
        """The rules that have to look at what stands around a secret."""
        found = self.folded.rules_for(text)
        return [*found, *self._of_digits] if _has_digits(text) else found

    def _find(
        self, text: str, is_secret: SecretNames, by_context: list[Grammar] | None = None
    ) -> Iterator[Found]:
        """What all rules find; ``by_context``: those that ``_by_context`` gives, where known."""
        yield from self._by_keyword(text)
        for grammar in self._by_context(text) if by_context is None else by_context:
            if grammar.placed and not is_secret.places(text):
                continue
            spans = grammar.spans(text, is_secret)
            yield from _some(grammar.id, _of_values(text, spans), len(text))
        last = is_secret.looked_at(text)
        if last < len(text):
            yield Found(last, len(text), "sentence")

    def _in_structures(
        self,
        judged: structures.Judged,
        known: list[Found],
        is_secret: SecretNames,
        left: _Left,
        depth: int = 0,
        *,
        until: int | None = None,
    ) -> Iterator[Found]:
        """What is secret in the dicts and lists of a text, and in each of their strings.

        Those in what is ``known`` to be secret are not looked at, nor those that begin behind
        ``until``: they are held back anyway.
        """
        text = judged.text
        held = [Found(*span, "structure") for span in judged.held]
        yield from held
        is_held = _Covered(text, [*known, *held])
        # From the first to the last: what is beyond the bounds is all that follows. Dicts that are
        # never closed may have the same texts in them.
        for start, end in sorted(set(structures.strings(judged.containers, len(text)))):
            if until is not None and start >= until:
                return
            if is_held(start, end):
                continue
            steps = quoted(text[start:end])
            said = steps[-1].text
            if not self._suspicious(said):
                continue
            if not left.takes(said):
                yield Found(start, len(text), "structure")
                return
            inner = list(self._find(said, is_secret))
            if depth < _MAX_NESTED:
                within = structures.Judged(said, judged.is_secret, left.tokens)
                left.tokens -= within.tokens
                if within.cut and within.tokens < MAX_TOKENS:
                    yield Found(start, len(text), "structure")
                    return
                inner = [one for one in inner if not _is_settled(one, within)]
                inner += self._in_structures(within, inner, is_secret, left, depth + 1)
            inner = _merge(inner) if inner else inner
            left.found[depth] -= len(inner)
            if left.found[depth] < 0:
                yield Found(start, len(text), "structure")
                return
            for one in inner:
                first, last = _placed(steps, one[:2])
                yield Found(start + first, start + last, one.rule)


class _Covered:
    """Says of a part of a text whether it is within one that is held back.

    Args:
        text: the text.
        found: what is held back of it.
    """

    def __init__(self, text: str, found: list[Found]) -> None:
        found = _not_yet_redacted(text, found) if found else found
        self._found = _merge(found)
        self._starts = [one.start for one in self._found]

    def __call__(self, start: int, end: int) -> bool:
        at = bisect_right(self._starts, start) - 1
        return at >= 0 and end <= self._found[at].end


def _last_looked_at(found: list[Found], length: int) -> int:
    """Where the last place begins that is told from others; behind it all is held back."""
    if len(found) <= MOST_FOUND:
        return length
    merged = _merge(found)
    return merged[MOST_FOUND - 1].start if len(merged) > MOST_FOUND else length


def _is_settled(found: Found, judged: structures.Judged | None) -> bool:
    """Whether the dicts in a text say that what a name before it holds back is none."""
    return (
        judged is not None
        and bool(judged.shown)
        and found.rule in _BY_NAME
        and judged.settles(found)
    )


def _some(rule: str, spans: Iterable[Span], length: int) -> Iterator[Found]:
    """What a rule finds; where that is too much, all from the first place on."""
    first = length
    for count, (start, end) in enumerate(spans):
        if count == _MOST_OF_ONE_RULE:
            yield Found(first, length, rule)
            return
        first = min(first, start)
        yield Found(start, end, rule)


def _of_values(text: str, spans: Iterable[Span]) -> Iterator[Span]:
    """The spans that hold a secret, not only the name of its place, or signs between others."""
    for start, end in spans:
        value = text[start:end]
        if value.strip(_BETWEEN) and not is_reference(value):
            yield start, end


def _has_digits(text: str) -> bool:
    if len(text) < digits.RUN:
        return False
    classes = text.encode("ascii", "replace").translate(digits.classes, digits.BETWEEN)
    return digits.ENOUGH in classes and digits.enough(text)


def _placed(steps: list[Reading], span: Span) -> Span:
    for step in reversed(steps):
        span = step.span(span)
    return span


def _not_yet_redacted(text: str, found: list[Found]) -> list[Found]:
    """The parts that are not, or do not begin in, what stands for a value held back before."""
    held = [match.span() for match in PLACEHOLDER.finditer(text)]
    if not held:
        return found
    starts = [start for start, _ in held]
    kept = []
    for one in found:
        at = bisect_right(starts, one.start) - 1
        first, last = held[at] if at >= 0 else (0, 0)
        if one.start >= last or (one.start == first and one.end > last):
            kept.append(one)
    return kept


def _merge(found: list[Found]) -> list[Found]:
    found.sort()
    merged = found[:1]
    for one in found[1:]:
        last = merged[-1]
        if one.start < last.end:
            merged[-1] = last._replace(end=max(last.end, one.end))
        else:
            merged.append(one)
    return merged
