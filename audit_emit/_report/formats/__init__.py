"""A report written down: one file per format, each with a function ``written``. Pure.

What a record says is text to all of them: nothing in it is markup, a formula or a command.
"""

from __future__ import annotations

from importlib import import_module

from audit_emit._report.model import Report

FORMATS = ("md", "html", "csv", "json")

MEDIA = {"md": "text/markdown", "html": "text/html", "csv": "text/csv", "json": "application/json"}
"""The type of a body in each format, without its ``charset``."""


def written(report: Report, form: str) -> bytes:
    """A report in one of ``FORMATS``, with the newline that ends it.

    Raises:
        KeyError: there is no such format.
    """
    if form not in FORMATS:
        raise KeyError(form)
    text: str | bytes = import_module(f"{__name__}.{form}").written(report)
    return text if isinstance(text, bytes) else text.encode("utf-8", "backslashreplace")
