"""``vector/kubernetes``: what a cluster would take, and what the parts must have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from support import requirements
from support.vector_config import load, text_of
from support.vrl_engine import VECTOR

FILES = sorted((VECTOR / "kubernetes").glob("*.yaml"))
OBJECTS: list[tuple[str, dict[str, Any]]] = [
    (path.name, document)
    for path in FILES
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
]
BY_KIND = {one["kind"]: one for _, one in OBJECTS}
each = pytest.mark.parametrize(
    "manifest", [one for _, one in OBJECTS], ids=[f"{name}: {one['kind']}" for name, one in OBJECTS]
)


@each
@pytest.mark.parametrize("version", ["1.30", "1.33"])
def test_a_cluster_takes_it(manifest: dict[str, Any], version: str) -> None:
    schemas = requirements.package("kubernetes-validate")
    schemas.validate(manifest, version, strict=True)


def pod(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = BY_KIND[kind]["spec"]["template"]["spec"]
    return found


@pytest.mark.parametrize("kind", ["DaemonSet", "StatefulSet"])
def test_every_mount_has_its_volume_and_every_selector_its_pods(kind: str) -> None:
    spec = BY_KIND[kind]["spec"]
    assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"]
    claims = [claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", [])]
    volumes = {volume["name"] for volume in pod(kind)["volumes"]} | set(claims)
    containers = pod(kind)["containers"] + pod(kind).get("initContainers", [])
    mounted = {mount["name"] for one in containers for mount in one["volumeMounts"]}
    assert mounted == volumes


@pytest.mark.parametrize("kind", ["DaemonSet", "StatefulSet"])
def test_vector_keeps_its_positions_and_nobody_reads_its_dead_letters(kind: str) -> None:
    containers = pod(kind)["containers"] + pod(kind).get("initContainers", [])
    (vector,) = [one for one in containers if one["name"] == "vector"]
    data = load(text_of("file"))["data_dir"]
    assert data in {mount["mountPath"] for mount in vector["volumeMounts"]}
    assert "umask 077" in vector["command"][-1]
    assert vector["securityContext"]["allowPrivilegeEscalation"] is False
    assert vector["securityContext"]["capabilities"]["drop"] == ["ALL"]


def test_vector_may_only_look_at_pods_and_nodes() -> None:
    (rule,) = BY_KIND["ClusterRole"]["rules"]
    assert rule == {
        "apiGroups": [""],
        "resources": ["pods", "nodes"],
        "verbs": ["get", "list", "watch"],
    }
    binding = BY_KIND["ClusterRoleBinding"]
    assert binding["roleRef"]["name"] == BY_KIND["ClusterRole"]["metadata"]["name"]
    (subject,) = binding["subjects"]
    account = BY_KIND["ServiceAccount"]["metadata"]
    assert (subject["name"], subject["namespace"]) == (account["name"], account["namespace"])
    assert pod("DaemonSet")["serviceAccountName"] == account["name"]
    names = [one["name"] for one in pod("DaemonSet")["containers"][0]["env"]]
    assert names == ["VECTOR_SELF_NODE_NAME"]


def test_the_sidecar_reads_what_the_service_writes_as_its_group() -> None:
    spec = pod("StatefulSet")
    (service,), (vector,) = spec["containers"], spec["initContainers"]
    group = spec["securityContext"]["fsGroup"]
    assert {one["securityContext"]["runAsGroup"] for one in (service, vector)} == {group}
    assert service["securityContext"]["runAsUser"] != vector["securityContext"]["runAsUser"]
    written = next(e["value"] for e in service["env"] if e["name"] == "AUDIT_EMIT_JSONL")
    included = load(text_of("file"))["sources"]["audit_files"]["include"]
    assert any(Path(written).match(pattern) for pattern in included)
    assert vector["restartPolicy"] == "Always"
