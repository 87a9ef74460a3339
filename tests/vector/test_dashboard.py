"""The dashboard and its provisioning: what can be wrong with them, found without a Grafana."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.vector_config import with_everything_offered

GRAFANA = Path(__file__).parents[2] / "integrations" / "grafana"
TEXT = (GRAFANA / "audit.json").read_text(encoding="utf-8")
DASHBOARD: dict[str, Any] = json.loads(TEXT)
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
ASKING = [panel for panel in PANELS if panel["type"] != "row"]
TABLES = [panel for panel in PANELS if panel["type"] in {"table", "logs"}]
VARIABLES = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
CORE = {"barchart", "bargauge", "logs", "piechart", "row", "stat", "table", "text", "timeseries"}
TRANSFORMATIONS = {"extractFields", "organize"}
LOKI = {"type": "loki", "uid": "${DS_LOKI}"}

by_title = pytest.mark.parametrize("panel", ASKING, ids=lambda panel: panel["title"])


def provisioned(kind: str) -> dict[str, Any]:
    (path,) = (GRAFANA / "provisioning" / kind).glob("*.yaml")
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert found["apiVersion"] == 1
    return found


def links(panel: dict[str, Any]) -> dict[str, str]:
    """Where a click on a cell leads, by the column."""
    return {
        override["matcher"]["options"]: link["url"]
        for override in panel["fieldConfig"]["overrides"]
        for setting in override["properties"]
        if setting["id"] == "links"
        for link in setting["value"]
    }


def columns(panel: dict[str, Any]) -> set[str]:
    """The columns of a table, as far as they do not depend on the answer."""
    (asked,) = panel["targets"]
    named = set(re.findall(r"\bby \(([^)]*)\)", asked["expr"])) if _is_figure(asked) else set()
    found = {name.strip() for names in named for name in names.split(",")}
    for step in panel["transformations"]:
        paths = step["options"].get("jsonPaths", [])
        found |= {path.get("alias", path["path"]) for path in paths}
    return found


def _is_figure(asked: dict[str, Any]) -> bool:
    return bool(asked["queryType"] == "instant")


def test_it_can_be_imported_by_hand_and_provisioned() -> None:
    """Import fills in ``__inputs``; provisioning does not, but there is a variable of that name."""
    (given,) = DASHBOARD["__inputs"]
    assert (given["name"], given["type"], given["pluginId"]) == ("DS_LOKI", "datasource", "loki")
    assert (VARIABLES["DS_LOKI"]["type"], VARIABLES["DS_LOKI"]["query"]) == ("datasource", "loki")
    assert DASHBOARD["schemaVersion"] in range(39, 42)
    assert (DASHBOARD["id"], DASHBOARD["uid"]) == (None, "audit-trail")


def test_it_needs_no_plugin_and_says_what_it_needs() -> None:
    assert {panel["type"] for panel in PANELS} <= CORE
    needed = {(one["type"], one["id"]) for one in DASHBOARD["__requires"]}
    used = {("panel", panel["type"]) for panel in ASKING}
    assert needed == used | {("grafana", "grafana"), ("datasource", "loki")}


def test_every_panel_has_a_number_of_its_own() -> None:
    numbers = [panel["id"] for panel in PANELS]
    assert len(set(numbers)) == len(numbers)


def test_panels_do_not_overlap_and_fit() -> None:
    for one, other in itertools.combinations(PANELS, 2):
        a, b = one["gridPos"], other["gridPos"]
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        apart = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert beside or apart, (one["title"], other["title"])
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in PANELS)


@by_title
def test_a_panel_asks_the_chosen_loki(panel: dict[str, Any]) -> None:
    assert panel["datasource"] == LOKI
    (asked,) = panel["targets"]
    assert asked["datasource"] == LOKI
    assert asked["queryType"] in {"range", "instant"}
    assert panel["description"]


@by_title
def test_only_variables_that_exist_are_used(panel: dict[str, Any]) -> None:
    used = set(re.findall(r"\$\{?([A-Za-z_]\w*)", json.dumps(panel)))
    assert {name for name in used if not name.startswith("__")} <= set(VARIABLES)


@pytest.mark.parametrize("panel", TABLES, ids=lambda panel: panel["title"])
def test_every_table_leads_to_a_story_through_a_column_that_it_has(panel: dict[str, Any]) -> None:
    leads = links(panel)
    assert leads
    assert set(leads) <= columns(panel)
    for column, url in leads.items():
        assert url.startswith("/d/${__dashboard.uid}?${__url_time_range}")
        assert f"var-{column}=${{__value.raw:percentencode}}" in url
        assert column in VARIABLES


@by_title
def test_transformations_are_those_of_grafana_itself(panel: dict[str, Any]) -> None:
    steps = panel.get("transformations", [])
    assert {step["id"] for step in steps} <= TRANSFORMATIONS
    for step in steps:
        if step["id"] == "extractFields":
            assert (step["options"]["source"], step["options"]["format"]) == ("Line", "json")


def test_what_can_be_chosen() -> None:
    kinds = {name: variable["type"] for name, variable in VARIABLES.items()}
    asked = dict.fromkeys(["service", "event_type"], "query")
    typed = dict.fromkeys(["user_id", "correlation_id", "key"], "textbox")
    assert kinds == {"DS_LOKI": "datasource", **asked, **typed}
    for name in asked:
        assert VARIABLES[name]["query"]["label"] == name
        assert VARIABLES[name]["allValue"] == ".+"


def test_the_integrity_row_has_gaps_and_checkpoints() -> None:
    (row,) = [panel for panel in PANELS if panel["title"] == "Integrity"]
    below = [panel["title"] for panel in PANELS if panel["gridPos"]["y"] > row["gridPos"]["y"]]
    assert {"Records that are not in Loki", "audit.gap", "Checkpoints"} <= set(below)


def test_ids_in_a_line_lead_to_the_dashboard() -> None:
    (source,) = provisioned("datasources")["datasources"]
    line = '{"user_id":"u-17","correlation_id":"req-0001","trace_id":"' + "ab" * 16 + '"}'
    found = {}
    for field in source["jsonData"]["derivedFields"]:
        match = re.search(field["matcherRegex"], line)
        assert match is not None
        found[field["name"]] = field["url"].replace("$${__value.raw}", match[1])
    assert found["correlation_id"] == "/d/audit-trail?var-correlation_id=req-0001"
    assert found["user_id"] == "/d/audit-trail?var-user_id=u-17"
    assert "ab" * 16 in found["trace_id"]


def test_empty_ids_are_no_links() -> None:
    (source,) = provisioned("datasources")["datasources"]
    line = '{"user_id":"","correlation_id":""}'
    fields = source["jsonData"]["derivedFields"]
    assert [field["name"] for field in fields if re.search(field["matcherRegex"], line)] == []


def test_the_data_source_offers_a_tenant_a_login_and_certificates() -> None:
    """Each value that is switched on has its secret, and none is written out."""
    (path,) = (GRAFANA / "provisioning" / "datasources").glob("*.yaml")
    text = with_everything_offered(path.read_text(encoding="utf-8"))
    (source,) = yaml.safe_load(text)["datasources"]
    headers = [source["jsonData"][f"httpHeaderName{n}"] for n in (1, 2)]
    assert headers == ["X-Scope-OrgID", "Authorization"]
    assert source["jsonData"]["tlsAuth"] is source["jsonData"]["tlsAuthWithCACert"] is True
    assert source["basicAuth"] is True
    secrets = source["secureJsonData"]
    assert secrets.keys() == {
        *("httpHeaderValue1", "httpHeaderValue2", "basicAuthPassword"),
        *("tlsCACert", "tlsClientCert", "tlsClientKey"),
    }
    assert all("$__file{/" in text for name, text in secrets.items() if name != "httpHeaderValue1")


def test_the_provider_reads_the_directory_that_the_stack_mounts() -> None:
    (provider,) = provisioned("dashboards")["providers"]
    stack = yaml.safe_load((GRAFANA.parent.parent / "vector" / "compose.yaml").read_text("utf-8"))
    mounts = stack["services"]["grafana"]["volumes"]
    path = provider["options"]["path"]
    assert f"../integrations/grafana/audit.json:{path}/audit.json:ro" in mounts
