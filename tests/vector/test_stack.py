"""vector/compose.yaml, which is not started here: its files exist and its parts fit together."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

VECTOR = Path(__file__).parents[2] / "vector"
TEXT = (VECTOR / "compose.yaml").read_text(encoding="utf-8")
STACK: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = STACK["services"]
LOKI: dict[str, Any] = yaml.safe_load((VECTOR / "loki.yaml").read_text(encoding="utf-8"))
SHIPPER = (VECTOR / "file.yaml").read_text(encoding="utf-8")

each = pytest.mark.parametrize("name", SERVICES)


def mounts(name: str) -> dict[str, str]:
    """What is mounted into a container, by the place in it."""
    parts = [volume.split(":") for volume in SERVICES[name]["volumes"]]
    return {place: source for source, place, *_ in parts}


def test_it_says_what_of_it_was_run() -> None:
    assert re.search(r"Run with Docker [\d.]+", TEXT.split("name:")[0])


@each
def test_the_version_of_an_image_is_pinned(name: str) -> None:
    assert re.fullmatch(r"[\w./-]+:\d+\.\d+(\.\d+|)(-\w+)?", SERVICES[name]["image"])


@each
def test_what_is_mounted_exists(name: str) -> None:
    for source in mounts(name).values():
        if source.startswith("."):
            assert (VECTOR / source).exists(), source
        else:
            assert source in STACK["volumes"]


@each
def test_only_this_machine_reaches_a_port(name: str) -> None:
    assert [port for port in SERVICES[name].get("ports", []) if port[:10] != "127.0.0.1:"] == []


@each
def test_nothing_waits_for_what_is_not_there(name: str) -> None:
    assert set(SERVICES[name].get("depends_on", [])) <= set(SERVICES)


def test_without_a_profile_nothing_of_the_replicas_is_started() -> None:
    always = {name for name, service in SERVICES.items() if "profiles" not in service}
    assert always == {"secrets-api", "vector", "loki", "grafana"}
    for name in always:
        assert set(SERVICES[name].get("depends_on", [])) <= always


def test_the_proxy_of_the_replicas_has_every_address_that_its_configuration_names() -> None:
    config = (VECTOR.parent / "integrations" / "replicas" / "haproxy.cfg").read_text()
    wanted = set(re.findall(r"\$\{(\w+)\}", config))
    assert wanted == set(SERVICES["proxy"]["environment"])


def test_no_volume_is_left_over() -> None:
    assert {source for name in SERVICES for source in mounts(name).values()} >= set(
        STACK["volumes"]
    )


def test_vector_sees_the_files_that_the_service_writes() -> None:
    written = SERVICES["secrets-api"]["environment"]["AUDIT_EMIT_JSONL"]
    shared = "/var/log/audit-emit"
    assert mounts("vector")[shared] == mounts("secrets-api")[shared]
    included = yaml.safe_load(SHIPPER)["sources"]["audit_files"]["include"]
    assert any(Path(written).match(pattern) for pattern in included)


def test_the_files_named_on_a_command_line_are_mounted() -> None:
    for name, flag in [("vector", "--config"), ("loki", "-config.file")]:
        words = " ".join(SERVICES[name]["command"]).replace("=", " ").split()
        assert words[words.index(flag) + 1] in mounts(name)


def test_loki_keeps_everything_in_its_volume_and_finds_the_rules() -> None:
    places = mounts("loki")
    prefix = LOKI["common"]["path_prefix"]
    assert places[prefix] == "loki"
    assert LOKI["common"]["storage"]["filesystem"]["chunks_directory"].startswith(prefix)
    assert places[LOKI["ruler"]["storage"]["local"]["directory"]] == "./rules"


def test_where_loki_is_looked_for_is_where_it_listens() -> None:
    port = LOKI["server"]["http_listen_port"]
    found = re.findall(r"http://loki:(\d+)", SHIPPER + TEXT)
    source = VECTOR.parent / "integrations/grafana/provisioning/datasources/loki.yaml"
    found += re.findall(r"http://loki:(\d+)", source.read_text(encoding="utf-8"))
    assert set(found) == {str(port)}
