from __future__ import annotations

import os
import pprint
import subprocess
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support import difficult_values, requirements
from support.for_each import for_each
from support.waiting import PATIENCE

import audit_emit
from audit_emit import ConfigError, Emitter, Settings
from audit_emit._settings import settings as _config
from audit_emit._settings.address import Address
from audit_emit._settings.checks import SETTINGS
from audit_emit._settings.settings import settings
from audit_emit.testing import MemoryStore

CANARY = "CANARY-" + "5d0c7b6e91aa"


def shout(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    return event


# name, text for the environment, value as argument, value in Settings
GOOD: list[tuple[str, str, Any, Any]] = [
    ("service", "secrets-api", "secrets-api", "secrets-api"),
    ("service", "0", "0", "0"),
    ("service", "a" * 63, "a" * 63, "a" * 63),
    ("jsonl", "/logs/x/audit.jsonl", Path("/logs/x/audit.jsonl"), "/logs/x/audit.jsonl"),
    ("jsonl", "/logs//x/../audit.jsonl", b"/logs/audit.jsonl", "/logs/audit.jsonl"),
    ("jsonl", "off", "off", None),
    ("jsonl", " /logs/audit.jsonl\n", "/logs/audit.jsonl", "/logs/audit.jsonl"),
    ("stdout", "0", False, False),
    ("stdout", "off", "no", False),
    ("stdout", " TRUE ", 1, True),
    ("stdout", " StdErr ", "stderr", "stderr"),
    ("store", " postgresql://a@b/c ", "postgresql://a@b/c", Address("postgresql://a@b/c")),
    ("chain_by", "workspace_id", "workspace_id", "workspace_id"),
    ("stdout_max_bytes", "4096", 4096, 4096),
    ("stdout_max_bytes", " 65536 ", "65536", 65536),
    ("durability", "os", "os", "os"),
    ("durability", "group", "group", "group"),
    ("durability", "always", "always", "always"),
    ("max_bytes", "4096", 4096, 4096),
    ("max_bytes", "64000000", 64e6, 64_000_000),
    ("hash_key", "k" * 16, b"k" * 16, b"k" * 16),
    ("hash_key", "k" * 500, "k" * 500, b"k" * 500),
    ("disabled", "1", True, True),
    ("secret_keys", "badge, door code ,,", ["badge", "door code"], {"badge", "door code"}),
    ("safe_keys", "token_kind", {"token_kind"}, {"token_kind"}),
    ("hide_access_key_ids", "1", True, True),
    ("redaction_report", "1", True, True),
    ("checkpoint", "0", False, False),
    ("origin", "a.example/shop", "a.example/shop", "a.example/shop"),
    ("checkpoint_state", "/tmp/state", b"/tmp/state", "/tmp/state"),
    ("subject_keys", "/tmp/keys", b"/tmp/keys", "slots:/tmp/keys"),
    ("subject_keys", "slots:/tmp/keys", "slots:/tmp/keys", "slots:/tmp/keys"),
    ("subject_actors", "0", False, False),
]

BAD: list[tuple[str, Any]] = [
    ("schemas", "/nowhere/at/all"),
    ("schemas", 7),
    ("schemas", {"a.b": {"type": "strang"}}),
    ("checkpoint_state", 5),
    ("checkpoint_state", "/no/such/place/state"),
    ("checkpoint_state", "/"),
    ("subject_actors", "maybe"),
    ("subject_keys", 5),
    ("subject_keys", "/"),
    ("subject_keys", "slots:"),
    ("subject_keys", "https://host/keys"),
    ("service", ""),
    ("service", "Secrets"),
    ("service", "-api"),
    ("service", "a" * 64),
    ("service", "a\n"),
    ("service", 'a","x":"'),
    ("service", 7),
    ("jsonl", ""),
    ("jsonl", "a\0b"),
    ("store", 7),
    ("store", "mysql://x"),
    ("store", "/var/log/x"),
    ("store_file", "/nowhere/at/all"),
    ("store_file", 1.5),
    ("chain_by", "user_id"),
    ("jsonl", 7),
    ("jsonl", ["a"]),
    ("stdout", "perhaps"),
    ("stdout", 2),
    ("stdout", ["1"]),
    ("stdout_max_bytes", 4095),
    ("stdout_max_bytes", "many"),
    ("durability", "never"),
    ("durability", ""),
    ("durability", ["os"]),
    ("durability", 1),
    ("max_bytes", 4095),
    ("max_bytes", -1),
    ("max_bytes", 2**62 + 1),
    ("max_bytes", "99999999999999999999"),
    ("stdout_max_bytes", 10**30),
    ("max_bytes", True),
    ("max_bytes", "64 MiB"),
    ("max_bytes", float("inf")),
    ("max_bytes", float("nan")),
    ("max_bytes", [4096]),
    ("max_bytes", 4096.9),
    ("max_bytes", "1_0000"),
    ("max_bytes", "٤٠٩٦٠"),
    ("hash_key", "k" * 15),
    ("hash_key", b"k"),
    ("hash_key", 12345678901234567890),
    ("hash_key", ["k" * 16]),
    ("hash_key", bytearray(b"k" * 15)),
    ("hash_key_file", "/nowhere/at/all"),
    ("hash_key_file", "a\0b"),
    ("hash_key_file", ["a"]),
    ("hash_key_file", 10**9),
    ("disabled", "perhaps"),
    ("secret_keys", 7),
    ("secret_keys", [7]),
    ("secret_keys", b"badge"),
    ("safe_keys", [None]),
    ("hide_access_key_ids", "perhaps"),
    ("redaction_report", "perhaps"),
    ("redaction_file", "/nowhere/at/all"),
    ("redaction_rules", "acme"),
    ("processors", "shout"),
    ("processors", 7),
    ("processors", [shout, "shout"]),
    ("checkpoint", "perhaps"),
    ("checkpoint", True),
    ("signing_key", CANARY),
    ("signing_key", CANARY.encode()),
    ("signing_key", 7),
    ("signing_key_file", CANARY),
    ("signing_key_file", 7),
    ("origin", "two words"),
    ("origin", "a+b"),
    ("origin", "a/"),
    ("origin", "x" * 201),
    ("origin", 7),
]


@pytest.mark.parametrize(("name", "given", "value"), [(n, a, v) for n, _, a, v in GOOD])
def test_an_argument_is_used(name: str, given: Any, value: Any) -> None:
    made = settings({name: given}, {})
    assert getattr(made, name) == value
    assert made.sources[name] == "argument"


@pytest.mark.parametrize(("name", "given", "value"), [(n, e, v) for n, e, _, v in GOOD])
def test_a_variable_is_used(name: str, given: str, value: Any) -> None:
    made = settings({}, {f"AUDIT_EMIT_{name.upper()}": given})
    assert getattr(made, name) == value
    assert made.sources[name] == "environment"


OTHER = {
    "service": "other",
    "jsonl": "/other/audit.jsonl",
    "stdout": "1",
    "store": "postgresql://other/other",
    "chain_by": "workspace_id",
    "stdout_max_bytes": "8192",
    "durability": "group",
    "max_bytes": "8192",
    "hash_key": "o" * 32,
    "disabled": "0",
    "secret_keys": "other",
    "safe_keys": "other",
    "hide_access_key_ids": "0",
    "redaction_report": "0",
    "checkpoint": "0",
    "origin": "other.example",
    "checkpoint_state": "/other.state",
    "subject_keys": "/other.keys",
    "subject_actors": "1",
}


@pytest.mark.parametrize(
    ("name", "given", "value"), [(n, a, v) for n, _, a, v in GOOD if a not in (None, "")]
)
def test_an_argument_comes_before_its_variable(name: str, given: Any, value: Any) -> None:
    made = settings({name: given}, {f"AUDIT_EMIT_{name.upper()}": OTHER[name]})
    assert getattr(made, name) == value


@pytest.mark.parametrize("name", OTHER)
def test_an_argument_of_none_is_not_given(name: str) -> None:
    given = {f"AUDIT_EMIT_{name.upper()}": OTHER[name]}
    assert settings({name: None}, given) == settings({}, given)


@pytest.mark.parametrize("name", SETTINGS)
def test_an_empty_variable_is_not_set(name: str) -> None:
    given = {f"AUDIT_EMIT_{name.upper()}": ""}
    assert settings({}, given) == settings({}, {})


def test_defaults(tmp_path: Path) -> None:
    made = settings({}, {"XDG_STATE_HOME": str(tmp_path)})
    assert made == Settings(jsonl=made.jsonl, sources=made.sources)
    assert (made.service, made.stdout, made.stdout_max_bytes) == ("app", True, 4096)
    assert (made.durability, made.max_bytes) == ("group", 64 * 1024 * 1024)
    assert (made.hash_key, made.disabled, made.processors) == (None, False, ())
    assert set(made.sources.values()) == {"default"}


@for_each("name, given", BAD)
def test_a_bad_argument_is_named(name: str, given: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        settings({name: given}, {})
    assert caught.value.setting == name
    assert str(caught.value).startswith(f"{name}: ")


@pytest.mark.parametrize(
    ("name", "given"), [(name, given) for name, given in BAD if isinstance(given, str) and given]
)
def test_a_bad_variable_is_named(name: str, given: str) -> None:
    if name not in SETTINGS:
        pytest.skip("processors have no variable")
    variable = f"AUDIT_EMIT_{name.upper()}"
    with pytest.raises(ConfigError) as caught:
        settings({}, {variable: given})
    assert caught.value.setting == variable


@for_each("name, given", [(n, given) for n, given in BAD if n in Settings.__struct_fields__])
def test_settings_made_by_hand_refuse_what_configure_refuses(name: str, given: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings(**{name: given})
    assert caught.value.setting == name


@for_each("name, given, value", [(n, a, v) for n, _, a, v in GOOD])
def test_settings_made_by_hand_take_what_configure_takes(name: str, given: Any, value: Any) -> None:
    made = Settings(**{name: given})
    assert getattr(made, name) == value
    assert type(getattr(made, name)) is type(getattr(settings({name: given}, {}), name))


def test_settings_made_by_hand_need_an_absolute_path() -> None:
    with pytest.raises(ConfigError, match="absolute"):
        Settings(jsonl="audit.jsonl")


def test_every_setting_is_tested_here() -> None:
    named = {name for name, *_ in GOOD} | {name for name, _ in BAD}
    assert named | {"redaction_rules"} == {*SETTINGS, "processors", "redaction_rules"}
    assert {name for name, _ in BAD} == named


def test_an_unknown_argument_is_refused_and_the_known_ones_are_told() -> None:
    with pytest.raises(ConfigError, match="services: is not a setting; there are: service, "):
        settings({"services": "x"}, {})


def test_a_config_error_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="service"):
        settings({"service": ""}, {})


def test_processors_are_kept_in_order() -> None:
    made = settings({"processors": iter([shout, print])}, {})
    assert made.processors == (shout, print)


def test_bad_values_can_be_collected_and_become_defaults() -> None:
    told: list[ConfigError] = []
    bad = {
        "AUDIT_EMIT_SERVICE": "My Service",
        "AUDIT_EMIT_STDOUT": "perhaps",
        "AUDIT_EMIT_MAX_BYTES": "8192",
        "AUDIT_EMIT_HASH_KEY": CANARY[:10],
    }
    made = settings({}, bad, on_error=told.append)
    assert (made.service, made.stdout, made.max_bytes, made.hash_key) == ("app", True, 8192, None)
    assert [error.setting for error in told] == [
        "AUDIT_EMIT_SERVICE",
        "AUDIT_EMIT_STDOUT",
        "AUDIT_EMIT_HASH_KEY",
    ]


def test_settings_cannot_be_changed() -> None:
    made = settings({"jsonl": "off"}, {})
    with pytest.raises(AttributeError):
        made.service = "other"  # type: ignore[misc]


# The path


def test_a_relative_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert settings({"jsonl": "logs/audit.jsonl"}, {}).jsonl == f"{tmp_path}/logs/audit.jsonl"


def test_a_path_in_the_home_directory(tmp_path: Path) -> None:
    assert settings({"jsonl": "~/a.jsonl"}, {}).jsonl == str(tmp_path / "home" / "a.jsonl")


def test_a_path_of_undecodable_bytes_is_kept(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff.jsonl"
    made = settings({"jsonl": path}, {}).jsonl
    assert made is not None
    assert os.fsencode(made) == path


def test_an_existing_file_is_fine(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"")
    assert settings({"jsonl": tmp_path / "a.jsonl"}, {}).jsonl == str(tmp_path / "a.jsonl")


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a directory; name the file in it"):
        settings({"jsonl": tmp_path}, {})


def test_the_root_is_a_directory_with_files_in_it() -> None:
    with pytest.raises(ConfigError, match=r"name the file in it: /audit.jsonl$"):
        settings({}, {"AUDIT_EMIT_JSONL": "/"})


def test_white_space_around_a_path_is_not_taken_for_a_part_of_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="white space"):
        settings({"jsonl": f"{tmp_path}/audit.jsonl "}, {})


def test_what_lies_at_the_default_path_is_for_the_first_event_to_find(tmp_path: Path) -> None:
    (tmp_path / "system" / "app" / "audit.jsonl").mkdir(parents=True)
    assert settings({}, {}).jsonl == f"{tmp_path}/system/app/audit.jsonl"


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(ConfigError, match="symbolic link"):
        settings({"jsonl": tmp_path / "link"}, {})


def test_a_fifo_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ConfigError, match="not a regular file"):
        settings({"jsonl": tmp_path / "fifo"}, {})


def test_a_relative_path_in_a_directory_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(ConfigError, match="jsonl: "):
        settings({"jsonl": "audit.jsonl"}, {})


def test_the_default_is_the_system_directory_where_it_can_be_written(tmp_path: Path) -> None:
    assert settings({"service": "api"}, {}).jsonl == f"{tmp_path}/system/api/audit.jsonl"


def test_the_default_is_the_state_directory_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "system").write_text("not a directory")
    environ = {"XDG_STATE_HOME": str(tmp_path / "xdg"), "AUDIT_EMIT_SERVICE": "api"}
    assert settings({}, environ).jsonl == f"{tmp_path}/xdg/audit_emit/api/audit.jsonl"
    home = f"{tmp_path}/home/.local/state/audit_emit/api/audit.jsonl"
    assert settings({"service": "api"}, {}).jsonl == home


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_system_directory_of_somebody_else_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "system").mkdir(mode=0o555)
    found = settings({"service": "api"}, {"XDG_STATE_HOME": str(tmp_path / "xdg")}).jsonl
    assert found == f"{tmp_path}/xdg/audit_emit/api/audit.jsonl"


def test_the_system_directory_is_not_that_of_the_audit_daemon_of_linux() -> None:
    asked = (
        "from audit_emit._settings.settings import system_directory; print(system_directory('api'))"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout == "/var/log/audit-emit/api\n"


def test_the_default_path_touches_nothing(tmp_path: Path) -> None:
    settings({}, {"XDG_STATE_HOME": str(tmp_path / "xdg")})
    assert not (tmp_path / "system").exists()
    assert not (tmp_path / "xdg").exists()


def test_a_disabled_emitter_has_no_default_path() -> None:
    assert settings({"disabled": True}, {}).jsonl is None


# The key


def key_file(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "key"
    path.write_bytes(content)
    return path


def test_a_key_is_read_from_a_file_without_white_space_around(tmp_path: Path) -> None:
    path = key_file(tmp_path, b"\n " + b"k" * 32 + b"\r\n")
    for made in (
        settings({"hash_key_file": path}, {}),
        settings({"hash_key_file": str(path)}, {}),
        settings({}, {"AUDIT_EMIT_HASH_KEY_FILE": str(path)}),
    ):
        assert made.hash_key == b"k" * 32
    assert made.sources["hash_key"] == "environment"
    assert "hash_key_file" not in made.sources


@pytest.mark.parametrize(
    ("arguments", "environ", "expected"),
    [
        (("hash_key", "hash_key_file"), (), b"D" * 32),
        ((), ("hash_key", "hash_key_file"), b"D" * 32),
        (("hash_key",), ("hash_key_file",), b"D" * 32),
        (("hash_key_file",), ("hash_key",), b"F" * 32),
    ],
)
def test_the_key_wins_over_the_file_and_arguments_over_the_environment(
    tmp_path: Path, arguments: tuple[str, ...], environ: tuple[str, ...], expected: bytes
) -> None:
    given = {"hash_key": "D" * 32, "hash_key_file": str(key_file(tmp_path, b"F" * 32))}
    made = settings(
        {name: given[name] for name in arguments},
        {f"AUDIT_EMIT_{name.upper()}": given[name] for name in environ},
    )
    assert made.hash_key == expected


@pytest.mark.parametrize("content", [b"", b" \n", b"short"])
def test_a_file_without_a_key_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ConfigError, match=r"^hash_key_file: "):
        settings({"hash_key_file": key_file(tmp_path, content)}, {})


def test_a_key_file_is_no_descriptor_number() -> None:
    """``open`` takes numbers, and closes them: somebody else's descriptor."""
    reader, writer = os.pipe()
    os.write(writer, b"k" * 32)
    os.close(writer)
    with pytest.raises(ConfigError, match=r"^hash_key_file: "):
        settings({"hash_key_file": reader}, {})
    os.close(reader)


def test_a_key_as_bytearray_is_a_key() -> None:
    assert settings({"hash_key": bytearray(b"k" * 16)}, {}).hash_key == b"k" * 16


# What is shown


@pytest.mark.parametrize("show", [repr, str, pprint.pformat, "{}".format, "%s".__mod__])
def test_no_key_is_ever_shown(show: Any) -> None:
    made = settings({"hash_key": CANARY, "service": "api"}, {})
    assert CANARY not in show(made)
    assert "api" in show(made)


def test_no_key_is_shown_by_a_pretty_traceback() -> None:
    rich = requirements.package("rich", "rich.pretty")
    made = settings({"hash_key": CANARY}, {})
    assert CANARY not in rich.pretty_repr(made)
    assert CANARY not in rich.pretty_repr({"settings": [made]})


def test_no_key_is_shown_by_what_holds_the_settings(tmp_path: Path) -> None:
    emitter = Emitter(hash_key=CANARY, jsonl=tmp_path / "a.jsonl", stdout=False)
    emitter.emit(None, "a.b", {"password": "x"})
    shown = f"{emitter!r} {emitter.health()} {emitter.builder!r} {emitter.builder.redactor!r}"
    emitter.close()
    assert CANARY not in shown
    assert CANARY not in (tmp_path / "a.jsonl").read_text()


@pytest.mark.parametrize(
    "arguments",
    [
        {"hash_key": CANARY[:12]},
        {"hash_key": [CANARY]},
        {"hash_key_file": CANARY},
        {"hash_key": CANARY, "service": "No Service"},
    ],
)
def test_no_message_repeats_a_key(arguments: Mapping[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(arguments, {})
    assert CANARY[:12] not in str(caught.value)
    assert CANARY[:12] not in repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    "name", ["service", "jsonl", "hash_key_file", "signing_key_file", "processors"]
)
def test_a_value_whose_type_has_no_name_to_be_asked_for_is_refused_all_the_same(name: str) -> None:
    value = difficult_values.Nameless()
    with pytest.raises(ConfigError, match=name) as caught:
        settings({name: [value] if name == "processors" else value}, {})
    assert difficult_values.SECRET not in "".join(traceback.format_exception(caught.value))


class Odd:
    """A processor that is no function, and knows nothing of names."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __call__(self, logger: Any, method: str, event: dict[str, Any]) -> dict[str, Any]:
        return event


def test_a_processor_that_cannot_say_its_name_is_shown_by_its_type() -> None:
    assert settings({"processors": [Odd(), shout]}, {}).public()["processors"] == ["Odd", "shout"]


def test_the_fingerprint_changes_with_every_setting_but_not_with_the_key_itself() -> None:
    base = {"jsonl": "off"}
    changes: list[dict[str, Any]] = [
        {},
        {"service": "other"},
        {"stdout": False},
        {"stdout_max_bytes": 8192},
        {"durability": "os"},
        {"max_bytes": 8192},
        {"hash_key": "k" * 16},
        {"disabled": True},
        {"secret_keys": ["badge"]},
        {"safe_keys": ["badge"]},
        {"processors": [shout]},
        {"on_error": shout},
        {"jsonl": "/a/b.jsonl"},
        {"origin": "a.example"},
        {"signing_key": "5e" * 32, "checkpoint": False},
        {"signing_key": "5e" * 32},
    ]
    prints = [settings({**base, **change}, {}).fingerprint() for change in changes]
    assert len(set(prints)) == len(changes)
    assert settings({**base, "hash_key": "j" * 16}, {}).fingerprint() == prints[6]
    assert all(len(one) == 64 for one in prints)


# Implicit configuration


def run(code: str, tmp_path: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environ},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )


def test_a_bad_variable_is_told_once_and_its_default_is_used(tmp_path: Path) -> None:
    done = run(
        "from audit_emit import emit, health\n"
        "receipts = [emit(None, 'a.b') for _ in range(3)]\n"
        "assert all(receipts)\n"
        "assert health()['sinks']['jsonl']['durability'] == 'group'\n"
        "assert health()['service'] == 'api'\n",
        tmp_path,
        AUDIT_EMIT_DURABILITY="never",
        AUDIT_EMIT_HASH_KEY=CANARY[:12],
        AUDIT_EMIT_SERVICE="api",
        AUDIT_EMIT_STDOUT="0",
    )
    first, second = sorted(done.stderr.splitlines())
    assert first.startswith("audit_emit: AUDIT_EMIT_DURABILITY: must be one of os, group, always")
    assert first.endswith("; the default is used")
    assert second.startswith("audit_emit: AUDIT_EMIT_HASH_KEY: ")
    assert CANARY[:12] not in done.stderr
    assert done.stdout == ""


def test_the_first_emit_configures_from_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "own" / "audit.jsonl"
    done = run(
        "from audit_emit import emit; print(emit(None, 'a.b').seq)",
        tmp_path,
        AUDIT_EMIT_JSONL=str(path),
        AUDIT_EMIT_SERVICE="api",
        AUDIT_EMIT_STDOUT="0",
    )
    assert (done.stdout, done.stderr) == ("2\n", "")
    assert '"service":"api"' in path.read_text()


def test_explicit_configuration_raises_and_leaves_the_emitter_alone(tmp_path: Path) -> None:
    before = audit_emit.configure(jsonl=tmp_path / "a.jsonl", stdout=False)
    with pytest.raises(ConfigError, match="max_bytes"):
        audit_emit.configure(max_bytes="lots")  # type: ignore[arg-type] # a mistake
    assert audit_emit._core.default.get_emitter() is before
    assert audit_emit.emit(None, "a.b") is not None


def test_the_environment_is_read_when_configure_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIT_EMIT_SERVICE", "late")
    assert audit_emit.configure(jsonl=tmp_path / "a.jsonl", stdout=False).settings.service == "late"


def test_every_variable_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text("utf-8")
    for name, setting in SETTINGS.items():
        assert f"| `{_config.PREFIX}{setting.variable}` | `{name}` |" in page
    assert "| | `processors` |" in page


@pytest.mark.parametrize("scheme", ["postgresql", "s3", "file"])
def test_an_address_is_no_path_of_a_file_and_is_not_repeated(scheme: str) -> None:
    with pytest.raises(ConfigError, match="a database is a store") as raised:
        Emitter(jsonl=f"{scheme}://user:hunter2secret@host/x")
    assert "hunter2secret" not in str(raised.value)


def test_a_store_may_be_an_object_and_is_shown_by_its_type() -> None:
    store = MemoryStore()
    made = settings({"store": store}, {})
    assert made.store is store
    assert made.jsonl is None
    assert made.address is None
    assert made.public()["store"] == "MemoryStore"


def test_a_store_that_is_an_object_comes_before_the_file_of_the_environment() -> None:
    made = settings({"store": MemoryStore()}, {"AUDIT_EMIT_JSONL": "/var/log/x/audit.jsonl"})
    assert made.jsonl is None
    with pytest.raises(ConfigError, match="leave jsonl out"):
        settings({"store": MemoryStore(), "jsonl": "/var/log/x/audit.jsonl"}, {})


def test_what_is_not_quite_a_store_is_told_what_is_missing() -> None:
    class Half:
        traits = sink = attach = unreturned = append = None

    with pytest.raises(ConfigError, match="Half has no sync, head, health") as raised:
        settings({"store": Half()}, {})
    assert raised.value.setting == "store"
    with pytest.raises(ConfigError, match=r"\(an object\)"):
        settings({"store": MemoryStore}, {})
