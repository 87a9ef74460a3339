"""The one function that reads a record of some type and asks all rules about it, written out. Pure.

A search spends nearly all of its time in calls from one small function to the next. So all that a
type of event needs is one text: the fields are read into variables once, the conditions are
expressions of them, and what a correlation does with most records stands there in two lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from audit_emit._detection.decoding import EVERYTHING, OWN, UNDECODED, decoding, slots, whole
from audit_emit._detection.expressions import Tree, written
from audit_emit._detection.groups import Key
from audit_emit._detection.rule import Rule
from audit_emit._detection.unrolled import Text, function
from audit_emit._detection.values import Record
from audit_emit._detection.watcher import Watcher
from audit_emit._detection.windows import Event, Hit
from audit_emit._runtime.interrupts import let_through

Look = Callable[[bytes], None]
"""Reads a line, and asks all rules that a record of its type may be about."""


class Part(NamedTuple):
    """A correlation that a rule is a part of.

    Attributes:
        place: which one of its parts.
        leads: whether other correlations are about it.
    """

    watcher: Watcher
    place: int
    leads: bool


class Use(NamedTuple):
    """One rule.

    Attributes:
        tree: what a record of the type must be besides.
        rule: that makes an alert of it; ``None`` where it is only a part of others.
        parts: correlations that it is a part of.
    """

    tree: Tree
    rule: Rule | None
    parts: tuple[Part, ...]


class Steps(NamedTuple):
    """What an engine does with a record.

    Attributes:
        place: its number and its time, of ``seq`` and ``ts`` as they stand there.
        alert: a rule without a correlation holds.
        found: a correlation does, for the group of that name.
    """

    place: Callable[[Any, Any], tuple[int, int]]
    alert: Callable[[Rule, Event], None]
    found: Callable[[Watcher, Key, Hit, Record | None], None]


def looking(uses: Sequence[Use], names: set[str] | None, steps: Steps) -> Look:
    """The function.

    Args:
        uses: all that is to be asked.
        names: of the fields that this reads; ``None``: it may be any.
        steps: of the engine.
    """
    text = Text({**steps._asdict(), "event": _event})
    body = ["  number, ns = place(seq, ts)"]
    for use in uses:
        body += _use(use, text)
    asked = function("def made(record):", [*text.reading(), *body], text.values)
    decode = None if text.asks_record else slots(tuple(text.fields.items()))
    if decode is not None:
        return _by_line([*_attributes(text), *body], decode, asked, text)
    decode = EVERYTHING if names is None else decoding(frozenset(names))
    return _by_line(["  asked(record)"], decode, asked, text)


def _by_line(
    body: Sequence[str], decode: Callable[[bytes], Any], asked: Callable[[Record], None], text: Text
) -> Look:
    """The same of a line, or of all that is in it where it is an unusual one."""

    def instead(line: bytes, error: Exception) -> None:
        let_through(error)
        record = whole(line)
        if record is not None:
            asked(record)

    lines = [
        "  try: record = decode(line)",
        "  except undecoded as error: return instead(line, error)",
        *body,
    ]
    own = {"decode": decode, "undecoded": UNDECODED, "instead": instead, "asked": asked}
    return function("def made(line):", lines, {**text.values, **own})


def _attributes(text: Text) -> Iterator[str]:
    """Lines that fill the variables from what ``slots`` has read."""
    for field, variable in text.fields.items():
        yield f"  {variable} = record.{OWN + '.' if '.' in field else ''}{variable}"


def _use(use: Use, text: Text) -> Iterator[str]:
    """One rule: what is to be done if it holds."""
    yield f"  if {written(use.tree, text)}:"
    yield "    at = None"
    if use.rule is not None:
        yield f"    alert({text.value(use.rule)}, event(number, ns))"
    for part in use.parts:
        yield from _part(part, text)


def _part(part: Part, text: Text) -> Iterator[str]:
    """One correlation: what it does with most records, and all that it may have to do."""
    watcher = part.watcher
    key = "".join(f"{watcher.written(each, text)}, " for each in watcher.names[part.place])
    record = "None"
    if part.leads:
        text.asks_record, record = True, "record"
    me, take = text.value(watcher), text.value(watcher.taker(part.place))
    yield f"    key = ({key})"
    usual = watcher.usual(text)
    if usual is not None:
        table = watcher.groups.table
        yield f"    state = {text.value(table.get)}(key)"
        yield f"    if state is not None and {usual.when}:"
        yield f"      {text.value(table.move_to_end)}(key)"
        yield f"      {usual.then}"
        yield "    else:"
    else:
        yield "    if True:"
    yield "      at = at or event(number, ns)"
    yield f"      hit = {take}(key, {watcher.value(text)}, at)"
    yield f"      if hit is not None: found({me}, key, hit, {record})"


def _event(number: int, ns: int) -> Event:
    return Event(ns, (number,), ns)
