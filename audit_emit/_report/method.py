"""How the figures of a report came about, and what limits they have, in sentences. Pure."""

from __future__ import annotations

from audit_emit._report.tally import TOLD_APART, TYPES, VALUES, Tally

_PARTS = 20
"""Parts of a log that are named as missing."""

_ALWAYS = """\
Each figure has the command that repeats it. Times are UTC; the beginning of the period is in it, \
and its end is not. A log that grows may get records of a past time later: one that had to wait \
keeps its own.
What a record says is what the service stated. The chain shows that nobody changed it afterwards, \
and not that it was true.
This report is evidence for an answer to the question of a control. Whether a control is met is \
for a person to judge, who looks at more than a log.
A query shows a record once that stands in the log several times; this report counts lines. The \
verification reports such lines.
"""


def method_of(tally: Tally) -> tuple[str, ...]:
    """Sentence by sentence, for one report."""
    said = [
        (
            "The log was read once, from its first record to its last, and verified on the way. "
            f"Counted are the {tally.records:,} records whose time is in the period; "
            f"{tally.outside:,} are before or after it."
        ),
        *_ALWAYS.rstrip("\n").split("\n"),
        (
            f"Told apart are at most {TYPES:,} event types, {TOLD_APART:,} combinations of type, "
            f"actor, kind and outcome, and {VALUES:,} keys, addresses and workspaces each."
        ),
    ]
    if tally.untold:
        said.append(
            f"{tally.untold:,} records were not told apart by actor or outcome: the figures of "
            "single actors and kinds are lower bounds."
        )
    if tally.strange:
        said.append(f"{tally.strange:,} lines are no records, and were not counted.")
    said += [
        f"{one} is missing or damaged, and so are its records." for one in tally.missing[:_PARTS]
    ]
    if len(tally.missing) > _PARTS:
        said.append(f"So are {len(tally.missing) - _PARTS:,} other parts.")
    return tuple(said)
