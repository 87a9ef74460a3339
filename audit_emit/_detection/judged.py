"""All alerts of a log: first the findings of ``verify``, then those of rules."""

from __future__ import annotations

import os
from collections.abc import Iterator

from audit_emit._detection.alert import Alert
from audit_emit._detection.detect import detect
from audit_emit._detection.integrity import integrity_alerts
from audit_emit._detection.loading import rules_in
from audit_emit._readers.base import LogReader
from audit_emit._verify.findings import Report


def judged(
    reader: LogReader,
    report: Report | None,
    rules: str | os.PathLike[str] | None,
    *,
    since: str,
    now: int | None,
) -> Iterator[Alert]:
    """The alerts of a log; see ``detect``.

    Args:
        report: the verdict on the log, if it was asked for.
        rules: a file or a directory; the rules of this package without one.
    """
    chosen = rules_in(rules)
    if report is not None:
        yield from integrity_alerts(report)
    yield from detect(reader, chosen, since=since, now=now)
