"""``vector/*.yaml``: complete, the same where they should be, and their own tests hold."""

from __future__ import annotations

import glob
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import vector_config
from support.vector_config import NAMES, Topology, load, run_test, text_of, with_everything_offered
from support.vrl_engine import VECTOR, AbortError, execute, runtime

from audit_emit import Emitter, Receipt
from audit_emit._stores.jsonl.directory import Layout
from audit_emit.cli import main

CONFIGS = {name: load(text_of(name)) for name in NAMES}
TESTS = [
    pytest.param(config, test, id=f"{name}: {test['name']}")
    for name, config in CONFIGS.items()
    for test in config["tests"]
]
EACH = pytest.mark.parametrize("name", NAMES)


def record(end: str = "") -> str:
    return (
        '{"ts":"2026-05-19T20:00:00.123456789Z","event_type":"a.b","workspace_id":"w","user_id":"u"'
        ',"actor_kind":"user","correlation_id":"","fields":{},"v":1,"id":"i","service":"s"'
        + end
        + "}"
    )


CHAINED = record(f',"chain":"{"0" * 16}","seq":7,"prev_hash":"{"1" * 64}","hash":"{"2" * 64}"')


def out(config: dict[str, Any], name: str, message: str, output: str) -> list[dict[str, Any]]:
    """What comes out at ``output`` when a line is given to the transform ``name``."""
    topology = Topology(config)
    topology.insert(name, {"message": message})
    return topology.outputs.get(output, [])


@EACH
def test_audit_vrl_is_in_it_word_for_word(name: str) -> None:
    text = text_of(name)
    assert text == vector_config.embedded(text), "run: python tests/support/vector_config.py"


@pytest.mark.parametrize(("config", "test"), TESTS)
def test_vectors_own_tests_hold(config: dict[str, Any], test: dict[str, Any]) -> None:
    run_test(config, test)


@pytest.mark.parametrize(("config", "test"), TESTS)
def test_each_of_them_can_fail(config: dict[str, Any], test: dict[str, Any]) -> None:
    changed = {name: dict(one) for name, one in config["transforms"].items()}
    ordinary = not test.get("outputs")
    changed["audit"]["source"] = '.audit.digest = "same"' if ordinary else 'abort "other"'
    if "audit_lines" in changed:
        changed["audit_lines"]["condition"] = "true"
    with pytest.raises(AssertionError):
        run_test({"transforms": changed}, test)


@EACH
def test_every_component_is_wired(name: str) -> None:
    config = CONFIGS[name]
    inputs = {
        one
        for part in ("transforms", "sinks")
        for c in config[part].values()
        for one in c["inputs"]
    }
    assert inputs == {*config["sources"], *config["transforms"], "audit.dropped"}


@EACH
def test_what_does_not_parse_is_neither_shipped_nor_lost(name: str) -> None:
    config = CONFIGS[name]
    remap = config["transforms"]["audit"]
    assert all(remap[option] for option in ("drop_on_error", "drop_on_abort", "reroute_dropped"))
    dead = {name: sink["type"] for name, sink in config["sinks"].items() if "dead" in name}
    assert dead == {"dead_letters": "file", "dead_letters_loki": "loki"}
    assert config["sinks"]["dead_letters"]["inputs"] == ["audit.dropped"]
    assert config["sinks"]["dead_letters_loki"]["labels"] == {"job": "audit-dlq"}
    assert any('job="audit-dlq"' in path.read_text() for path in VECTOR.glob("logql/*.logql"))


@EACH
def test_the_sink_sends_bytes_under_three_labels(name: str) -> None:
    sink = CONFIGS[name]["sinks"]["loki"]
    assert sink["encoding"] == {"codec": "text"}
    assert sink["labels"] == {
        "job": "audit",
        "service": "{{ audit.service }}",
        "event_type": "{{ audit.event_type }}",
    }
    assert sink["dangerously_allow_unconfined_template_resolution"] is True
    assert "structured_metadata" not in sink
    assert sink["buffer"]["when_full"] == "block"


def test_files_are_delivered_at_least_once_and_stdout_waits_on_disk() -> None:
    for name in ("file", "both"):
        sinks = CONFIGS[name]["sinks"]
        assert sinks["loki"]["buffer"]["type"] == "memory"
        assert all(s["acknowledgements"]["enabled"] for n, s in sinks.items() if n != "metrics")
    for name in ("docker", "kubernetes"):
        sink = CONFIGS[name]["sinks"]["loki"]
        assert sink["buffer"] == {"type": "disk", "max_size": 268435488, "when_full": "block"}
        assert "acknowledgements" not in sink


def test_both_is_the_two_together() -> None:
    both, file, docker = (CONFIGS[name] for name in ("both", "file", "docker"))
    assert both["sources"] == {**docker["sources"], **file["sources"]}
    assert both["transforms"]["audit_lines"] == docker["transforms"]["audit_lines"]
    assert both["sinks"] == {
        **file["sinks"],
        "loki": {**file["sinks"]["loki"], "inputs": ["audit_once"]},
    }


@EACH
def test_nothing_in_it_would_be_taken_for_a_variable(name: str) -> None:
    assert not re.search(r"\$[\w{$]", text_of(name))


TORN = '{"ts":"2026-05-19T20:00:00.123456789Z","fields":{"password=hunter2'


@EACH
def test_the_text_of_a_dead_letter_goes_to_the_file_and_nowhere_else(name: str) -> None:
    config = CONFIGS[name]
    (to_loki,) = config["sinks"]["dead_letters_loki"]["inputs"]
    topology = Topology(config)
    topology.insert("audit", {"message": TORN, "timestamp": "2026-05-19T20:00:01Z", "file": "f"})
    (kept,) = topology.outputs["audit.dropped"]
    assert kept["message"] == TORN
    (sent,) = topology.outputs[to_loki]
    assert "hunter2" not in str(sent)
    assert sent.pop("timestamp").startswith("2026-05-19T20:00:01")
    assert sent == {
        "reason": "audit: invalid JSON or UTF-8",
        "bytes": len(TORN),
        "sha256": hashlib.sha256(TORN.encode()).hexdigest(),
        "file": "f",
    }


@EACH
@pytest.mark.parametrize("message", [7, None, ["hunter2"], {"hunter2": 1}])
def test_a_dead_letter_that_is_no_text_is_one_too(name: str, message: object) -> None:
    topology = Topology(CONFIGS[name])
    topology.insert("audit", {"message": message})
    (sent,) = topology.outputs["dead_letter_digest"]
    assert sent["reason"] == "audit: the message is not text"
    assert "hunter2" not in str(sent)


@EACH
def test_the_words_of_a_failed_program_may_hold_the_line_and_stay_here(name: str) -> None:
    digest = CONFIGS[name]["transforms"]["dead_letter_digest"]["source"]
    dropped = {"message": "function call error: hunter2", "reason": "error"}
    _, sent = execute(digest, {"message": "x", "metadata": {"dropped": dropped}})
    assert sent["reason"] == "audit: an error in audit.vrl"


def test_what_vector_writes_is_for_its_user_alone() -> None:
    """Vector 0.58 has no option for the mode of a file: its umask decides."""
    unit = (VECTOR / "systemd" / "audit.conf").read_text(encoding="utf-8")
    assert "UMask=0077" in unit.splitlines()
    stack = load(text_of("compose"))["services"]["vector"]
    assert "umask 077" in " ".join(stack["entrypoint"])


@pytest.mark.parametrize(
    ("name", "option", "label"),
    [
        ("docker", "include_labels", ["audit.emit=true"]),
        ("both", "include_labels", ["audit.emit=true"]),
        ("kubernetes", "extra_label_selector", "audit-emit=true"),
    ],
)
def test_only_what_is_labelled_is_read(name: str, option: str, label: object) -> None:
    """Any other container could write under the name of any service."""
    assert CONFIGS[name]["sources"]["containers"][option] == label


# The files that are read


def test_every_segment_is_read_and_nothing_else(tmp_path: Path) -> None:
    directory = tmp_path / "var" / "log" / "audit-emit" / "shop"
    path = directory / "audit.jsonl"
    emitter = Emitter(
        service="shop", jsonl=path, stdout=False, max_bytes=4096, signing_key="5e" * 32
    )
    for n in range(60):
        assert type(emitter.emit(None, "item.set", {"n": n})) is Receipt
    emitter.close()
    with path.open("ab") as file:
        file.write(b"foreign\n")
    main(["repair", str(directory), "--apply"])
    segments = [*Layout.of(str(path)).closed_segments(), str(path)]
    (directory / "audit-00000000000000000001.jsonl.gz").write_bytes(b"\x1f\x8b")
    (directory / "audit.jsonl.new").touch()

    include = CONFIGS["file"]["sources"]["audit_files"]["include"]
    read = [found for one in include for found in glob.glob(f"{tmp_path}{one}")]
    assert sorted(read) == sorted(segments)
    assert len(segments) > 5
    others = {str(other) for other in directory.rglob("*") if other.is_file()} - {*segments}
    assert {Path(other).name for other in others} >= {"checkpoints.jsonl", "audit.jsonl.lock"}
    assert any("quarantine" in other for other in others)

    # Vector knows a file by its first line.
    firsts = {Path(segment).read_bytes().split(b"\n")[0] for segment in segments}
    assert len(firsts) == len(segments)


@pytest.mark.parametrize("name", ["file", "both"])
def test_lines_may_be_as_long_as_loki_takes_them(name: str) -> None:
    limits = load(text_of("loki"))["limits_config"]
    assert limits["max_line_size"] == "256KB"
    assert CONFIGS[name]["sources"]["audit_files"]["max_line_bytes"] == 256 * 1024


# What is offered as a comment


@EACH
def test_what_is_offered_is_valid_too(name: str) -> None:
    config = load(with_everything_offered(text_of(name)))
    assert config != CONFIGS[name]
    for transform in config["transforms"].values():
        if "inputs" in transform and transform["type"] != "dedupe":
            runtime(transform.get("source") or transform["condition"])
    for test in config["tests"]:
        run_test(config, test)


@pytest.fixture(scope="module")
def metadata() -> str:
    config = load(with_everything_offered(text_of("file")))
    assert config["sinks"]["loki"]["structured_metadata"] == {"*": "{{ audit.metadata }}"}
    transform = config["transforms"]["audit_metadata"]
    assert transform["inputs"] == ["audit"]
    assert isinstance(transform["source"], str)
    return transform["source"]


def test_structured_metadata_are_the_ids_as_text(metadata: str) -> None:
    body = CHAINED.replace('"service"', f'"trace_id":"{"a" * 32}","service"')
    _, event = execute(metadata, {"message": body, "audit": {"service": "s"}})
    assert event["message"] == body
    assert event["audit"]["metadata"] == {
        "workspace_id": "w",
        "user_id": "u",
        "actor_kind": "user",
        "trace_id": "a" * 32,
        "id": "i",
        "chain": "0" * 16,
        "seq": "7",
    }


@given(st.recursive(st.none() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=3))
def test_structured_metadata_never_stop_a_record(metadata: str, value: object) -> None:
    members = {"user_id": value, "seq": value, "id": value, "chain": value}
    for body in (json.dumps(members), json.dumps(value), '{"user_id":"\\ud800"}'):
        _, event = execute(metadata, {"message": body, "audit": {"service": "s"}})
        assert event["message"] == body
        found = event["audit"]["metadata"]
        assert all(type(text) is str and text for text in found.values())


@EACH
def test_every_loki_sink_offers_a_tenant_a_login_and_certificates(name: str) -> None:
    config = load(with_everything_offered(text_of(name)))
    for sink in ("loki", "dead_letters_loki"):
        offered = config["sinks"][sink]
        assert offered["tls"].keys() == {"ca_file", "crt_file", "key_file"}
        assert offered["auth"] == {"strategy": "basic", "user": "audit", "password": "change-me"}
        assert offered["tenant_id"]
    assert config["secret"]["loki"]["type"] == "directory"
    assert config["secret"]["loki"]["remove_trailing_whitespace"] is True


@EACH
def test_no_comment_has_a_reference_to_a_secret(name: str) -> None:
    """Vector looks for them in the text, before it knows what a comment is, and would not start."""
    assert not re.search(r"SECRET\[", text_of(name))


@pytest.mark.parametrize(
    ("file", "tenant"),
    [
        ("/var/log/audit-emit/shop/audit.jsonl", "shop"),
        ("/var/log/audit-emit/a-b_2/audit-00000000000000000001.jsonl", "a-b_2"),
        ("/var/log/audit-emit/../etc/audit.jsonl", "audit"),
        ("/srv/audit.jsonl", "audit"),
        (None, "audit"),
    ],
)
def test_a_tenant_by_directory(file: str | None, tenant: str) -> None:
    config = load(with_everything_offered(text_of("file")))
    for message, output in ((record(), "audit_tenant"), (TORN, "dead_letter_tenant")):
        topology = Topology(config)
        topology.insert("audit", {"message": message, **({"file": file} if file else {})})
        (event,) = topology.outputs[output]
        assert event["audit"]["tenant"] == tenant


@pytest.mark.parametrize("name", ["docker", "kubernetes", "both"])
def test_a_tenant_by_service(name: str) -> None:
    config = load(with_everything_offered(text_of(name)))
    (event,) = out(config, "audit", record(), "audit_tenant")
    assert event["audit"]["tenant"] == "s"


def test_the_variant_takes_from_stdout_only_what_is_not_in_the_file() -> None:
    config = load(with_everything_offered(text_of("both")))
    for message, goes in (
        ("audit: " + record(), True),
        ("audit: " + record() + "\r", True),
        ("audit: " + record(',"hash":"' + "2" * 64 + '","more":1'), True),
        ("audit: " + CHAINED, False),
        ("audit: " + CHAINED + "\r", False),
        (record(), False),
    ):
        assert bool(out(config, "audit_lines", message, "audit_once")) is goes, message


def test_a_double_is_told_by_all_of_its_bytes() -> None:
    topology = Topology(CONFIGS["both"])
    for message in (record(), "audit: " + record(), CHAINED, record(), record(',"x":1')):
        topology.insert("audit", {"message": message})
    bodies = [event["message"] for event in topology.outputs["audit_once"]]
    assert bodies == [record(), CHAINED, record(',"x":1')]


# The means of these tests


def test_embedding_replaces_what_was_there() -> None:
    text = text_of("file").replace("never encoded again", "encoded again")
    assert text != text_of("file")
    assert vector_config.embedded(text) == text_of("file")


def test_a_condition_is_not_always_true() -> None:
    with pytest.raises(AssertionError, match="incorrect"):
        vector_config.holds({"type": "vrl", "source": 'assert_eq!(.a, 1, "incorrect")'}, {"a": 2})
    assert vector_config.holds({"type": "vrl", "source": ".a == 1"}, {"a": 1})
    assert not vector_config.holds({"type": "vrl", "source": ".a == 1"}, {"a": 2})
    with pytest.raises(AbortError):
        execute('abort "x"', {})
