"""The options of ``verify``: what a log must agree with, collected into one ``Options`` value."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from audit_emit._facade.records import ns_of
from audit_emit._facade.text import visible
from audit_emit._facade.verdicts import (
    Boundary,
    Options,
    Others,
    Sources,
    others_of,
    parse_heads,
    policy_in,
)
from audit_emit._facade.witnesses import NONE
from audit_emit.cli._command import complain
from audit_emit.cli._keys import pinned_keys
from audit_emit.cli._logs import SEQ
from audit_emit.cli._times import EXAMPLES, span, time_option
from audit_emit.log import KeyRing

_Function = TypeVar("_Function", bound=Callable[..., Any])


def _heads(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[int, str]:
    heads = {}
    for value in values:
        seq, _colon, digest = value.partition(":")
        if not (seq.isascii() and seq.isdecimal() and len(seq) < 20):
            raise click.BadParameter("a head is SEQ:HASH")
        heads[int(seq)] = digest.lower()
    try:
        parse_heads(heads)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return heads


def _chain(_: click.Context, __: click.Parameter, value: str) -> str:
    if value and not re.fullmatch("[0-9a-f]{16}", value):
        raise click.BadParameter("a chain is 16 hex digits")
    return value


def _boundary(_: click.Context, __: click.Parameter, value: str | None) -> Boundary:
    try:
        return Boundary.parse(value) if value else Boundary()
    except ValueError as error:
        raise click.BadParameter(visible(str(error))) from None


def _span(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    try:
        return span(value).total_seconds() if value else None
    except (ValueError, OverflowError):
        raise click.BadParameter(f"{visible(value or '')} is not a span (90s, 10m, 2h)") from None


_OPTIONS = (
    pinned_keys,
    click.option("--from-seq", type=SEQ, default=1, help="Verify from this record on."),
    click.option(
        "--since", callback=time_option, metavar="TIME", help=f"Begin here: {EXAMPLES}; UTC."
    ),
    click.option("--until", callback=time_option, metavar="TIME", help="Verify up to this time."),
    click.option(
        "--expect-head",
        "heads",
        multiple=True,
        callback=_heads,
        metavar="SEQ:HASH",
        help="A record that must be in the log, as kept elsewhere; repeatable.",
    ),
    click.option(
        "--max-unanchored",
        type=click.IntRange(min=0),
        metavar="N",
        help="How many records may follow the newest signature.  "
        "[default: by the log's own policy]",
    ),
    click.option(
        "--max-age",
        callback=_span,
        metavar="SPAN",
        help="How old the newest signature may be: 10m, 2h.  [default: by the log's own policy, if "
        "unsigned records follow]",
    ),
    click.option(
        "--as-of",
        callback=time_option,
        metavar="TIME",
        help="Measure that age at this time instead of now.",
    ),
    click.option(
        "--no-anchor-required", is_flag=True, help="Require no signature near the end of the log."
    ),
    click.option("--origin", default="", help="The log's name in checkpoints must be this one."),
    click.option(
        "--chain",
        default="",
        callback=_chain,
        metavar="ID",
        help="The log's chain must be this one.",
    ),
    click.option(
        "--witness",
        "witness_keys",
        multiple=True,
        metavar="VKEY",
        help="A witness that must have cosigned the log: a verifier key, or a file of them.",
    ),
    click.option(
        "--quorum",
        type=click.IntRange(min=1),
        metavar="N",
        help="With --witness: this many of them are enough.  [default: all]",
    ),
    click.option(
        "--policy",
        "policy_file",
        metavar="FILE",
        help="Logs and witnesses as a C2SP tlog-policy, instead of --witness and --key.",
    ),
    click.option(
        "--anchor",
        "anchor_files",
        multiple=True,
        metavar="FILE",
        help="Checkpoints kept on another machine: anchors.jsonl, or a signed note; repeatable.",
    ),
    click.option(
        "--tsa-cert",
        "tsa_file",
        metavar="FILE",
        help="With --anchor: root certificates of a timestamp authority (PEM); then only what it "
        "stamped counts.",
    ),
    click.option(
        "--remember",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Keep what was verified in this file, and compare with it the next time.",
    ),
    click.option(
        "--legacy-before",
        "legacy",
        callback=_boundary,
        metavar="SEQ|offset:N",
        help="Lines before this record, or before this byte, may be from before there was a chain.",
    ),
    click.option("--strict", is_flag=True, help="Parse the JSON of every record, too."),
    click.option(
        "--jobs", type=click.IntRange(min=1), help="Processes to use.  [default: one per core]"
    ),
)


def demands(function: _Function) -> _Function:
    """Add the options; the command gets them as its parameter ``options``."""

    @wraps(function)
    def with_options(
        *args: Any,
        keys: tuple[str, ...],
        no_anchor_required: bool,
        as_of: str,
        jobs: int | None,
        witness_keys: tuple[str, ...],
        quorum: int | None,
        policy_file: str | None,
        anchor_files: tuple[str, ...],
        tsa_file: str | None,
        **given: Any,
    ) -> Any:
        rest = {name: given.pop(name) for name in list(given) if name not in Options._fields}
        whole = given["from_seq"] == 1 and not given["since"] and not given["until"]
        sources = Sources(witness_keys, quorum, policy_file, anchor_files, tsa_file)
        others = _others(sources, keys, whole=whole)
        options = Options(
            ring=others.ring,
            witnesses=others.policy,
            anchors=others.anchors,
            stamped=others.stamped,
            anchor_required=not no_anchor_required,
            as_of=ns_of(as_of) if as_of else None,
            jobs=jobs or cores(),
            **given,
        )
        return function(*args, options=options, **rest)

    made: Any = with_options
    for option in reversed(_OPTIONS):
        made = option(made)
    return made  # type: ignore[no-any-return] # click keeps the type of what it decorates


def _others(sources: Sources, keys: tuple[str, ...], *, whole: bool) -> Others:
    """What others say of the log, with the keys that are given, or those of a policy's logs."""
    alone = sources.policy and not (keys or sources.witnesses or sources.quorum)
    try:
        named = policy_in(sources.policy).logs if sources.policy and alone else ()
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    ring = KeyRing() if named else KeyRing.from_sources(list(keys), os.environ)
    try:
        found = others_of(sources, ring, whole=whole)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if found.policy is not None and found.policy.quorum == NONE:
        complain(f"{sources.policy} demands no witness: its quorum is none")
    return found


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
