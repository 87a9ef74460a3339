"""Where the credentials for Loki come from, and what becomes of bad ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit_emit._loki.settings import PREFIX, TIMEOUT, VARIABLES, from_environment, site_labels
from audit_emit.errors import ConfigError


def given(environ: dict[str, str]) -> dict[str, object]:
    found = from_environment(environ)
    assert found["timeout"] == TIMEOUT
    return {k: value for k, value in found.items() if value is not None and k != "timeout"}


def test_variables_are_read() -> None:
    environ = {f"{PREFIX}USERNAME": "u", f"{PREFIX}PASSWORD": "p", f"{PREFIX}TENANT": "t"}
    assert given(environ) == {"username": "u", "password": "p"}
    assert given({f"{PREFIX}TOKEN": "t"}) == {"token": "t"}


@pytest.mark.parametrize("name", ["PASSWORD", "TOKEN"])
def test_a_file_is_read_without_the_white_space_around_it(name: str, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(" s3cret \n")
    environ = {f"{PREFIX}{name}_FILE": str(path)}
    assert given(environ) == {name.lower(): "s3cret"}
    assert given({**environ, f"{PREFIX}{name}": "nearer"}) == {name.lower(): "nearer"}


def test_an_empty_variable_is_not_set() -> None:
    assert given({f"{PREFIX}TOKEN": "", f"{PREFIX}TOKEN_FILE": ""}) == {}


@pytest.mark.parametrize(
    ("content", "why"), [(b"", "empty"), (b"\xff\xfe", "not text"), (None, "read")]
)
def test_a_file_that_cannot_be_used_is_told_without_its_name(
    content: bytes | None, why: str, tmp_path: Path
) -> None:
    path = tmp_path / "canary"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=why) as raised:
        from_environment({f"{PREFIX}TOKEN_FILE": str(path)})
    assert raised.value.setting == f"{PREFIX}TOKEN_FILE"
    assert "canary" not in str(raised.value)


def test_patience_is_a_number_of_seconds() -> None:
    assert from_environment({f"{PREFIX}TIMEOUT": "0.5"})["timeout"] == 0.5
    for text in ("0", "-1", "nan", "1e9", "soon"):
        with pytest.raises(ConfigError, match="TIMEOUT: must be a number of seconds"):
            from_environment({f"{PREFIX}TIMEOUT": text})


def test_files_of_certificates_are_named(tmp_path: Path) -> None:
    names = {"ca_file": "/a", "cert_file": "/b", "key_file": "/c"}
    assert given({f"{PREFIX}{name.upper()}": path for name, path in names.items()}) == names


def test_labels_of_the_site() -> None:
    environ = {f"{PREFIX}LABELS": "env=prod, region=eu-1"}
    assert site_labels([], {}) == {}
    assert site_labels([], environ) == {"env": "prod", "region": "eu-1"}
    assert site_labels(["env=test"], environ) == {"env": "test"}


@pytest.mark.parametrize(
    "text", ["env", "env=", "=x", "9=x", "a-b=x", "job=x", "service=x", "__a=x"]
)
def test_what_is_no_label_of_a_site_is_told(text: str) -> None:
    with pytest.raises(ConfigError, match=r"env=prod|pipeline's own"):
        site_labels([text], {})


def test_every_variable_is_in_the_configuration_page() -> None:
    text = (Path(__file__).parents[2] / "docs/configuration.md").read_text("utf-8")
    assert [name for name in VARIABLES if f"| `{PREFIX}{name}` |" not in text] == []
