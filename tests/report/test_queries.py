"""The command lines beside the figures: a shell gives them to the query as they are meant."""

from __future__ import annotations

import subprocess

from support.for_each import for_each
from support.hostile_log import TEXTS
from support.requirements import program

from audit_emit._query.patterns import alike
from audit_emit._report.queries import quoted, value, where


def test_a_shell_gives_back_every_word() -> None:
    words = [text for text in TEXTS if "\0" not in text]
    script = "printf '%s\\0' " + " ".join(map(quoted, words))
    done = subprocess.run([program("bash"), "-c", script], capture_output=True, check=True)
    assert done.stdout.decode().split("\0")[:-1] == words


def test_nothing_that_a_terminal_obeys_is_in_a_command_line() -> None:
    assert all(quoted(text).isprintable() for text in TEXTS)


@for_each("text", TEXTS)
def test_a_pattern_of_a_value_means_that_value_alone(text: str) -> None:
    found = value(text)
    assert found is not None
    assert [other for other in TEXTS if alike(other, found)] == [text]


def test_what_no_argument_can_hold_has_no_query() -> None:
    assert where("user_id", "a\0b") is None
