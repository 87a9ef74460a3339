"""Which records are asked for: the options and the one filter of ``query`` and ``tail``."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import click

from audit_emit._facade.queries import Question, Term, checked
from audit_emit._facade.records import ns_of, ts_of
from audit_emit._facade.text import visible
from audit_emit.cli._subject_keys import pseudonym_of, see_with, subject_keys_option
from audit_emit.cli._times import EXAMPLES, time_option

_Function = TypeVar("_Function", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--type",
        "types",
        multiple=True,
        metavar="TYPE",
        help="Event type, such as secret.rotated or 'secret.*'; repeatable: any of them.",
    ),
    click.option(
        "--where",
        multiple=True,
        metavar="NAME=VALUE",
        help="A member of the record (service=shop), else a field: key=A, a.b=1, 'tags[0]=x', "
        "'[\"a.b\"]=1'. NAME!=VALUE: anything but that. Repeatable: all of them.",
    ),
    click.option("--actor", default="", metavar="ID", help="Who acted (user_id)."),
    click.option("--workspace", default="", metavar="ID", help="In which workspace."),
    click.option("--correlation", default="", metavar="ID", help="In which request."),
    click.option(
        "--who-changed",
        "changed",
        default="",
        metavar="KEY",
        help="Records of changes to this secret.",
    ),
    click.option(
        "--since", callback=time_option, metavar="TIME", help=f"Begin here: {EXAMPLES}; UTC."
    ),
    click.option("--until", callback=time_option, metavar="TIME", help="End before this."),
)


def asked(function: _Function) -> _Function:
    """Add the options of a question; the command gets them as its parameter ``question``.

    Every value may be a shell pattern.
    """

    @wraps(function)
    def with_question(
        *args: Any,
        types: tuple[str, ...],
        where: tuple[str, ...],
        actor: str,
        workspace: str,
        correlation: str,
        changed: str,
        since: str,
        until: str,
        subject_keys: str,
        **rest: Any,
    ) -> Any:
        sight = see_with(subject_keys)
        try:
            question = Question(
                types=tuple(map(checked, types)),
                terms=tuple(map(Term.parse, where)),
                actor=checked(actor),
                workspace=checked(workspace),
                correlation=checked(correlation),
                changed=checked(changed),
                since=max(0, ns_of(since)) if since else None,
                until=ns_of(until) if until else None,
                pseudonym=pseudonym_of(actor, sight),
            )
        except ValueError as error:
            raise click.UsageError(visible(str(error))) from None
        if since and until and since >= until:
            raise click.UsageError(f"nothing is from {since} on and before {until}")
        return function(*args, question=question, **rest)

    made: Any = subject_keys_option(with_question)
    for option in reversed(_OPTIONS):
        made = option(made)
    return made  # type: ignore[no-any-return] # click keeps the type of what it decorates


def when(question: Question) -> str:
    """Which times were asked about, as understood."""
    since = "" if question.since is None else f" since {ts_of(question.since)}"
    return since + ("" if question.until is None else f" until {ts_of(question.until)}")
