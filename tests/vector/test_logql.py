"""Every LogQL text of the repository: well-formed, and said in one place only."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import requirements
from support.logql_grammar import IN_ENVIRONMENT, NotThere, install, refused

from audit_emit._loki import backfill as backfilling
from audit_emit._loki import reconcile as reconciling
from audit_emit._query.question import Question, Term

ROOT = Path(__file__).parents[2]
NAMED = sorted(ROOT.glob("vector/logql/*.logql"))
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("vector/**/*.md")])
RULES = sorted(ROOT.glob("vector/rules/*/*.yaml"))
DASHBOARD = ROOT / "integrations" / "grafana" / "audit.json"
SOURCES = ROOT / "integrations" / "grafana" / "provisioning" / "datasources" / "loki.yaml"

VARIABLES = {
    # What the dashboard asks for, and the example that stands for it in the named query.
    ', service=~"$service"': "",
    ', event_type=~"$event_type"': "",
    "$user_id": "u-17",
    "$correlation_id": "req-0001",
    "$key": "STRIPE_LIVE_KEY",
    "[$__auto]": "[5m]",
    "[$__range]": "[1h]",
}
"""docs/pipeline.md has the same table."""


def one_line(logql: str) -> str:
    """The query without its comments, and without what only lays it out."""
    lines = [line for line in logql.splitlines() if not line.lstrip().startswith("#")]
    text = re.sub(r"\s+", " ", " ".join(lines)).strip()
    return re.sub(r"(?<=\() | (?=\))", "", text)


def by_name() -> dict[str, str]:
    return {path.stem: one_line(path.read_text(encoding="utf-8")) for path in NAMED}


QUERIES = by_name()


def rule_groups() -> Iterator[dict[str, Any]]:
    for path in RULES:
        yield from yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]


def rules() -> list[dict[str, Any]]:
    return [rule for group in rule_groups() for rule in group["rules"]]


def panel_queries() -> list[str]:
    """What the dashboard asks Loki, with its variables."""
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    asked = [target for panel in dashboard["panels"] for target in panel.get("targets", [])]
    asked += [one for one in dashboard["annotations"]["list"] if "expr" in one]
    return [one["expr"] for one in asked]


def with_examples(logql: str) -> str:
    """A query of the dashboard, with the examples in place of the variables."""
    for variable, example in VARIABLES.items():
        logql = logql.replace(variable, example)
    return logql


def page_blocks(path: Path) -> list[str]:
    return re.findall(r"```logql\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)


def page_spans(path: Path) -> list[str]:
    """Queries within a sentence: code that begins with a selector of labels."""
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    spans = re.findall(r"(`+)(.+?)\1", text)
    return [span.strip() for _, span in spans if re.match(r'\s*\{\w+(=|!=|=~|!~)"', span)]


def links_of_the_data_source() -> list[str]:
    sources = yaml.safe_load(SOURCES.read_text(encoding="utf-8"))["datasources"]
    fields = [field for source in sources for field in source["jsonData"]["derivedFields"]]
    queries = [field["url"] for field in fields if "datasourceUid" in field]
    return [
        query.replace("$${__value.raw}", "0af7651916cd43dd8448eb211c80319c") for query in queries
    ]


@pytest.fixture(scope="session")
def grammar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program that checks a text; skips where node or the package cannot be had."""
    own = sys.prefix != sys.base_prefix
    try:
        return install(IN_ENVIRONMENT if own else tmp_path_factory.mktemp("grammar"))
    except NotThere as reason:
        requirements.missing("logql-grammar", str(reason))


def test_every_query_of_the_repository_is_logql(grammar: Path) -> None:
    texts = [path.read_text(encoding="utf-8") for path in NAMED]
    texts += [rule["expr"] for rule in rules()]
    texts += [with_examples(query) for query in panel_queries()]
    texts += [text for path in PAGES for text in page_blocks(path) + page_spans(path)]
    texts += links_of_the_data_source()
    texts += reconciling.queries(["a", "b"], ["1", "2"])
    texts += [reconciling.one_chain("1"), backfilling.query(["a", "b"], [1, 2])]
    assert len(texts) > 3 * len(NAMED) / 2
    assert refused(grammar, texts) == []


def test_reconcile_asks_for_a_chain_as_its_named_query_does() -> None:
    assert reconciling.one_chain("00d1c0ffee00beef") == QUERIES["one-chain"]


HOSTILE = [
    *("a b", 'say "x"', "back\\slash", "`tick`", "{{.x}}", "a|b"),
    *("#", "ключ", "\t", "*.[a-z]?"),
]
QUESTIONS = [
    Question(),
    Question(types=("secret.set",)),
    Question(types=("secret.*", "*.denied")),
    Question(actor="u-17", workspace="acme", correlation="req-0001"),
    Question(changed="STRIPE_LIVE_KEY", types=("secret.set",)),
    Question(terms=(Term.parse("service=secrets-api"), Term.parse("fields.a.b!=1"))),
    Question(terms=(Term.parse("tags[0]=x*"), Term.parse('fields["a.b"]=c'), Term.parse("n=1.10"))),
    *(Question(actor=text, changed=text, terms=(Term.parse(f"x!={text}"),)) for text in HOSTILE),
]


def test_what_the_command_line_asks_is_logql(grammar: Path) -> None:
    assert refused(grammar, [question.logql() for question in QUESTIONS]) == []


@pytest.mark.parametrize(
    "text",
    ['{job="audit"', '{job="audit"} | json |', "sum by (a) (rate({}))", 'rate({job="audit"} [$x])'],
)
def test_what_is_not_logql_is_found(grammar: Path, text: str) -> None:
    assert len(refused(grammar, ['{job="audit"}', text])) == 1


@pytest.mark.parametrize("path", NAMED, ids=lambda path: path.stem)
def test_a_named_query_begins_with_its_question(path: Path) -> None:
    first, *rest = path.read_text(encoding="utf-8").splitlines()
    assert re.fullmatch(r"# [A-Z].+[?.:]", first)
    assert rest
    assert len(QUERIES) == len(set(QUERIES.values())), "two names for one question"


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert", rule.get("record")))
def test_a_rule_asks_a_named_query(rule: dict[str, Any]) -> None:
    if "alert" in rule:
        assert one_line(rule["expr"]) == QUERIES[Path(rule["annotations"]["query"]).stem]
    assert one_line(rule["expr"]) in QUERIES.values()


def test_the_dashboard_asks_named_queries() -> None:
    asked = [one_line(with_examples(query)) for query in panel_queries()]
    assert [query for query in asked if query not in QUERIES.values()] == []
    assert asked


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_block_of_a_page_is_a_named_query(path: Path) -> None:
    blocks = [one_line(block) for block in page_blocks(path)]
    assert [block for block in blocks if block not in QUERIES.values()] == []


def test_the_substitutions_are_in_the_page() -> None:
    page = (ROOT / "docs" / "pipeline.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ``? ?(\S.*?) ?``? \| (?:`(.*?)`|nothing) \|$", page, re.MULTILINE)
    assert {variable: example for variable, example in rows if variable in VARIABLES} == VARIABLES


def test_every_named_query_is_explained_or_used() -> None:
    """By the dashboard, a rule, or a page that names it."""
    told = "".join(path.read_text(encoding="utf-8") for path in PAGES)
    used = {one_line(with_examples(query)) for query in panel_queries()}
    used |= {one_line(rule["expr"]) for rule in rules()}
    unused = [name for name, query in QUERIES.items() if query not in used]
    assert [name for name in unused if f"{name}.logql" not in told] == []
