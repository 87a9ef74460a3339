"""The search for anomalies in one log, through the read seam."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from audit_emit._detection.alert import Alert
from audit_emit._detection.engine import Engine
from audit_emit._detection.loading import built_in
from audit_emit._detection.ruleset import RuleSet
from audit_emit._format.line_splitter import split_lines
from audit_emit._readers.base import Block, Flaw, LogReader
from audit_emit._readers.whole_lines import whole_lines_of

Progress = Callable[[int, int], None]


def detect(
    reader: LogReader,
    rules: RuleSet | None = None,
    *,
    since: str = "",
    now: int | None = None,
    progress: Progress | None = None,
) -> Iterator[Alert]:
    """The alerts of a log, in the order in which they came up.

    Args:
        reader: of the log.
        rules: what to look for; the rules of this package by default.
        since: only alerts that crossed from then on (``Alert.at``), as ``ts``; records before it
            are looked at all the same, as an alert may be about what was before.
        now: the time by which silence is judged, in nanoseconds since 1970; without one, silence
            at the end of the log makes no alert.
        progress: called with the bytes that were read and those that there are.

    Raises:
        OSError: a part cannot be read, or is damaged, so that an answer without it would be wrong.
        UnsupportedError: a part is packed in a way that cannot be read here.
    """
    engine = Engine(rules or built_in())
    for alert in _alerts(engine, reader, now, progress):
        if alert.at >= since:
            yield alert


def _alerts(
    engine: Engine, reader: LogReader, now: int | None, progress: Progress | None
) -> Iterator[Alert]:
    for lines in lines_of(reader.blocks(), reader, progress):
        yield from engine.feed(lines)
    if now is not None:
        yield from engine.now(now)


def lines_of(
    items: Iterator[Block | Flaw], reader: LogReader, progress: Progress | None = None
) -> Iterator[list[bytes]]:
    """The lines of a log, many at a time; a part that is missing is passed over.

    Raises:
        OSError: a part is damaged.
    """
    return map(split_lines, whole_lines_of(_told(items, reader, progress)))


def _told(
    items: Iterator[Block | Flaw], reader: LogReader, progress: Progress | None
) -> Iterator[Block | Flaw]:
    """The same; ``progress`` counts a block when the next one is asked for."""
    for item in items:
        yield item
        if progress is not None and isinstance(item, Block):
            progress(item.read, max(reader.size, item.read))
