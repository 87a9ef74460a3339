"""Vector's configurations: read, with what they offer as comments, and their own tests run.

Transforms run as in ``vector test``: ``remap`` and ``filter`` in a real engine, ``dedupe`` by hand.
``python tests/support/vector_config.py`` writes ``audit.vrl`` into them anew.
"""

from __future__ import annotations

import re
import textwrap
from typing import Any

import yaml
from support.vrl_engine import AUDIT, VECTOR, AbortError, execute

NAMES = ("file", "docker", "kubernetes", "both")
Event = dict[str, Any]

_EMBEDDED = re.compile(
    r"(?P<head>\n  audit:\n(?:    [^\n]*\n)*?    source: \|\n)(?:(?:      [^\n]*)?\n)*\n(?=\S|  \S)"
)
_OFFERED = re.compile(r"(?m)^(?P<indent> *)#(?P<first>[^\s#].*(?:\n(?P=indent)#  .*)*)")

# The engine gives times as text; what runs next wants them back.
_BEFORE = """
if is_string(.timestamp) { .timestamp = parse_timestamp!(.timestamp, "%+") }
"""
_AFTER = """
if is_timestamp(.timestamp) { .timestamp = format_timestamp!(.timestamp, "%+") }
"""


def text_of(name: str) -> str:
    """A configuration as it is in the repository."""
    return (VECTOR / f"{name}.yaml").read_text(encoding="utf-8")


def load(text: str) -> dict[str, Any]:
    """A configuration; every one is an object."""
    loaded = yaml.safe_load(text)
    assert isinstance(loaded, dict)
    return loaded


def with_everything_offered(text: str) -> str:
    """Without the ``#`` before what is offered: ``#name: value``, as opposed to ``# prose``."""

    def taken(found: re.Match[str]) -> str:
        return found["indent"] + found["first"].replace(
            f"\n{found['indent']}#", f"\n{found['indent']}"
        )

    return _OFFERED.sub(taken, text)


def embedded(text: str) -> str:
    """The configuration with today's ``audit.vrl`` in its transform ``audit``."""
    source = textwrap.indent(AUDIT, " " * 6)
    made, count = _EMBEDDED.subn(lambda found: f"{found['head']}{source}\n", text)
    assert count == 1
    return made


class Topology:
    """The transforms of a configuration, for one test: ``dedupe`` remembers.

    Attributes:
        outputs: the events of each output so far, such as ``audit`` and ``audit.dropped``.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self._transforms: dict[str, dict[str, Any]] = config["transforms"]
        self._seen: set[tuple[str, ...]] = set()
        self.outputs: dict[str, list[Event]] = {}

    def insert(self, name: str, event: Event) -> None:
        """Give an event to a transform, and what it makes of it to those behind."""
        transform = self._transforms[name]
        match transform["type"]:
            case "remap":
                self._remap(name, transform, event)
            case "filter":
                if execute(transform["condition"], event)[0] is True:
                    self._send(name, event)
            case "dedupe":
                key = tuple(str(_member(event, path)) for path in transform["fields"]["match"])
                if key not in self._seen:
                    self._seen.add(key)
                    self._send(name, event)
            case other:
                raise AssertionError(f"{name}: {other} is not known here")

    def _remap(self, name: str, transform: dict[str, Any], event: Event) -> None:
        try:
            _, made = execute(f"{_BEFORE}{transform['source']}{_AFTER}", event)
        except AbortError as error:
            assert transform["drop_on_error"] is True
            if transform.get("reroute_dropped"):
                dropped = {"message": str(error), "component_id": name}
                self._send(f"{name}.dropped", {**event, "metadata": {"dropped": dropped}})
            return
        self._send(name, made)

    def _send(self, output: str, event: Event) -> None:
        self.outputs.setdefault(output, []).append(event)
        for name, transform in self._transforms.items():
            if output in transform["inputs"]:
                self.insert(name, event)


def run_test(config: dict[str, Any], test: dict[str, Any]) -> None:
    """One of Vector's own unit tests.

    Raises:
        AssertionError: it fails.
    """
    topology = Topology(config)
    for given in test["inputs"]:
        assert given["type"] == "log"
        topology.insert(given["insert_at"], given["log_fields"])
    for output in test.get("no_outputs_from", []):
        assert not topology.outputs.get(output), f"{output} has an output"
    for wanted in test.get("outputs", []):
        events = topology.outputs.get(wanted["extract_from"], [])
        assert len(events) == wanted.get("expected_event_count", len(events))
        for condition in wanted.get("conditions", [None]):
            assert any(holds(condition, event) for event in events), f"none of {events}"


def holds(condition: dict[str, Any] | None, event: Event) -> bool:
    """Whether a condition is true of an event; its ``assert`` fails the test with a message.

    Raises:
        AssertionError: an ``assert`` in it is not true.
    """
    if condition is None:
        return True
    assert condition["type"] == "vrl"
    try:
        return execute(f"{_BEFORE}{condition['source']}", event)[0] is True
    except AbortError as error:
        raise AssertionError(str(error)) from None


def _member(event: Event, path: str) -> object:
    value: Any = event
    for name in path.split("."):
        value = value[name]
    return value


if __name__ == "__main__":
    for each in NAMES:
        (VECTOR / f"{each}.yaml").write_text(embedded(text_of(each)), encoding="utf-8")
