"""What the README and the documents say is run, or compared with the code."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.for_each import for_each
from support.waiting import PATIENCE

from audit_emit import Emitter
from audit_emit._settings.checks import SETTINGS
from audit_emit._settings.settings import PREFIX
from audit_emit._stores.postgres.schema import migrations
from audit_emit.cli._exit import Exit
from audit_emit.integrations._exchange import Exchange
from audit_emit.integrations._http import Inbound, request_fields
from audit_emit.integrations._options import Options

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [
    "README.md",
    "SECURITY.md",
    "CONTRIBUTING.md",
    "integrations/README.md",
    "vector/README.md",
    *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/**/*.md")),
]


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


INTEGRATIONS = blocks("python", page("integrations.md"))


def block_with(part: str) -> str:
    """The one block of the integrations page that has this in it."""
    (found,) = [code for code in INTEGRATIONS if part in code]
    return found


def run(code: str, where: Path, said: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=where,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == said
    return done.stdout


def faceless(line: str) -> str:
    """The line without what differs from run to run."""
    line = re.sub(r'"ts":"[^"]+"', '"ts":""', line.strip())
    return re.sub(r'"(id|chain|prev_hash|hash)":"[0-9a-f…-]+"', r'"\1":""', line)


def test_it_is_short() -> None:
    assert len(README.splitlines()) <= 110
    assert len(README.split()) <= 700


def prose(text: str) -> list[str]:
    """The lines that can be broken: code and what programs print cannot, nor a row of a table."""
    without_code = re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)
    return [line for line in without_code.splitlines() if not re.match(r" *\||    ", line)]


@for_each("name", PAGES)
def test_no_line_of_prose_is_long(name: str) -> None:
    lines = prose((ROOT / name).read_text(encoding="utf-8"))
    assert [line for line in lines if len(line) > 120] == []


def test_the_ten_lines_print_what_they_are_said_to_print(tmp_path: Path) -> None:
    printed = run(blocks("python")[0], tmp_path).splitlines()
    assert [faceless(line) for line in printed[1:]] == [faceless(blocks("text")[0])]


def test_the_ten_lines_write_the_same_record_to_the_file(tmp_path: Path) -> None:
    printed = run(blocks("python")[0], tmp_path)
    kept = (tmp_path / "audit.jsonl").read_text(encoding="utf-8")
    assert "".join(f"audit: {line}\n" for line in kept.splitlines()) == printed


@pytest.mark.parametrize("number", range(1, len(blocks("python"))))
def test_every_other_block_runs_after_those_before_it(number: int, tmp_path: Path) -> None:
    for code in blocks("python")[: number + 1]:
        run(code, tmp_path)


def test_the_log_of_the_ten_lines_is_verified_in_three(tmp_path: Path) -> None:
    writes, verifies = blocks("python")[:2]
    assert len(verifies.split("\n\n")[1].splitlines()) + 1 == 3
    run(writes, tmp_path)
    log = tmp_path / "audit.jsonl"
    log.write_bytes(log.read_bytes().replace(b"STRIPE", b"PAYPAL"))
    with pytest.raises(AssertionError, match="event-hash-mismatch"):
        run(verifies, tmp_path)


def test_the_blocks_of_the_quick_start_are_one_program(tmp_path: Path) -> None:
    printed = run("\n".join(blocks("python", page("quickstart.md"))), tmp_path)
    assert printed.endswith("\n4 records; good\n")


def test_the_page_of_the_schemas_runs(tmp_path: Path) -> None:
    said = "audit_emit: secret.set does not fit its schema: key: missing, kye: unknown\n"
    run("\n".join(blocks("python", page("schemas.md"))), tmp_path, said)
    lines = (tmp_path / "audit.jsonl").read_text().splitlines()
    (marked,) = [line for line in lines if "_schema" in line]
    assert json.loads(marked)["fields"] == json.loads(blocks("json", page("schemas.md"))[0])


@pytest.mark.parametrize("number", range(len(blocks("python", page("how-to.md")))))
def test_every_block_of_the_how_tos_runs(number: int, tmp_path: Path) -> None:
    code = blocks("python", page("how-to.md"))[number]
    marked = "audit_emit: order.cancel does not fit its schema: order: type\n"
    run(code, tmp_path, marked if "_schema" in code else "")


def test_the_test_of_the_how_tos_passes(tmp_path: Path) -> None:
    (code,) = [code for code in blocks("python", page("how-to.md")) if "def test_" in code]
    assert "1 passed" in said_by_pytest(code, tmp_path)


@for_each("name", PAGES)
def test_every_link_leads_to_a_file(name: str) -> None:
    here = ROOT / name
    links = re.findall(r"\]\(([^)#:]+)\)", here.read_text(encoding="utf-8"))
    assert links or name != "README.md"
    assert [link for link in links if not (here.parent / link).is_file()] == []


def headings(target: Path) -> set[str]:
    """The anchors that GitHub and MyST make of the headings of a page."""
    found = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
    words = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in found]
    return {word.strip().replace(" ", "-") for word in words}


@for_each("name", PAGES)
def test_every_anchor_is_a_heading(name: str) -> None:
    here = ROOT / name
    text = here.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#:]*)#([^)]+)\)", text)
    wrong = [
        f"{path}#{anchor}"
        for path, anchor in links
        if anchor not in headings(here.parent / path if path else here)
    ]
    assert wrong == []


def test_every_variable_is_in_the_configuration_page() -> None:
    text = page("configuration.md")
    rows = dict(re.findall(r"^\| `(AUDIT_EMIT_[A-Z_]+)` \| `([a-z_]+)` \|", text, re.MULTILINE))
    assert rows == {PREFIX + setting.variable: name for name, setting in SETTINGS.items()}


def test_every_key_of_flask_is_in_the_configuration_page() -> None:
    rows = re.findall(
        r"^\| `AUDIT_EMIT_([A-Z_]+)` \| [^|]+ \| [^|]+ \|$", page("configuration.md"), re.MULTILINE
    )
    assert [name.lower() for name in rows] == list(Options.__dataclass_fields__)


def test_every_counter_is_in_the_operations_page() -> None:
    counters = Emitter(disabled=True).health()["counters"]
    assert [name for name in counters if f"`{name}`" not in page("operations.md")] == []


def test_every_fault_of_a_sink_is_in_the_operations_page() -> None:
    """The words that sinks give themselves; names of errnos and of classes are explained there."""
    words = set()
    package = ROOT / "audit_emit"
    descriptors = package / "_runtime" / "nonblocking_fd.py"
    for source in (descriptors, *(package / "_stores").rglob("*.py")):
        code = source.read_text(encoding="utf-8")
        words.update(re.findall(r'SinkError\("([a-z-]+)"\)', code))
        words.update(re.findall(r'fault = "([a-z-]+)"', code))
    assert {"lock-timeout", "full"} <= words
    assert [word for word in words if f"`{word}`" not in page("operations.md")] == []


def test_the_page_of_the_database_names_the_newest_migration() -> None:
    named = re.findall(r"expect[ =]([0-9]+)", page("postgresql.md"))
    assert len(named) >= 3
    assert set(named) == {str(migrations()[-1].number)}


def test_every_exit_status_is_in_the_page_of_the_commands() -> None:
    rows = re.findall(r"^\| (\d+) \|", page("commands.md"), re.MULTILINE)
    assert [int(row) for row in rows] == [*Exit, 130]


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_every_field_of_a_request_is_in_the_integrations_page(kind: Any) -> None:
    exchange = Exchange(
        kind=kind,
        method="GET",
        path="/",
        headers={"user-agent": ["curl"]},
        client="127.0.0.1",
        route="/",
        status=101 if kind == "websocket" else 200,
        error=ValueError,
        code=1000,
        notes=("double_start",),
    )
    fields = request_fields(Options(user_agent=True), exchange, Inbound("1", "2"), str)
    row = r"^\| (`[^|]*|) ?\| (`[^|]*|) ?\| [^|]*\|$"
    columns = list(zip(*re.findall(row, page("integrations.md"), re.MULTILINE), strict=True))
    named = re.findall("`([a-z_]+)`", " ".join(columns[0 if kind == "http" else 1]))
    assert named == list(fields)


@pytest.mark.parametrize("number", range(len(INTEGRATIONS)))
def test_every_block_of_the_integrations_page_runs(number: int, tmp_path: Path) -> None:
    run(INTEGRATIONS[number], tmp_path)


ASK = """
import asyncio, httpx
async def ask():
    transport = httpx.ASGITransport({app}, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        headers = {{"Authorization": "Bearer dev-token"}}
        return await client.request("{method}", "{path}", headers=headers)
response = asyncio.run(ask())
"""


def records(printed: str) -> list[dict[str, Any]]:
    lines = [line for line in printed.splitlines() if line.startswith("audit: ")]
    found = [json.loads(line.removeprefix("audit: ")) for line in lines]
    return [one for one in found if one["event_type"] != "audit.started"]


def test_a_user_of_the_authentication_middleware_is_the_actor(tmp_path: Path) -> None:
    drive = ASK.format(app="app", method="GET", path="/")
    (request,) = records(run(block_with("AuthenticationBackend") + drive, tmp_path))
    assert (request["user_id"], request["actor_kind"]) == ("u-17", "user")


def test_the_routes_of_fastapi_write_what_is_said(tmp_path: Path) -> None:
    drive = ASK.format(app="service", method="PUT", path="/invoices/7")
    event, request = records(run(block_with("audited_route") + drive, tmp_path))
    assert (event["event_type"], event["fields"]["number"]) == ("invoice.change", 7)
    assert (event["user_id"], event["workspace_id"]) == ("u-17", "acme")
    assert request["fields"]["route"] == "/invoices/{number}"


@pytest.mark.parametrize(("app", "told"), [("app", False), ("service", True)])
def test_an_unhandled_exception_and_the_id_of_its_response(
    app: str, told: bool, tmp_path: Path
) -> None:
    code = block_with("app.add_middleware" if app == "app" else "service = AuditMiddleware")
    code += "@app.get('/')\ndef broken(): raise ValueError\n"
    drive = (
        ASK.format(app=app, method="GET", path="/") + "print('x-request-id' in response.headers)"
    )
    printed = run(code + drive, tmp_path)
    assert f"{told}" in printed.splitlines()
    (request,) = records(printed)
    assert request["fields"]["status"] == 500


def test_the_user_of_the_flask_application_is_the_actor(tmp_path: Path) -> None:
    drive = (
        "client = app.test_client()\n"
        "client.post('/sign-in', data={'login': 'u-18', 'password': 'x'})\n"
        "client.post('/sign-in', data={'login': 'u-17', 'password': 'of u-17'})\n"
        "client.get('/')\n"
    )
    made = records(run(block_with("before_request") + drive, tmp_path))
    assert [(record["event_type"], record["user_id"]) for record in made] == [
        ("auth.login_failed", ""),
        ("http.request", ""),
        ("auth.login", "u-17"),
        ("http.request", "u-17"),
        ("http.request", "u-17"),
    ]


def test_threads_and_queues_have_the_ids(tmp_path: Path) -> None:
    made = records(run(block_with("wrap_context"), tmp_path))
    assert [(r["user_id"], r["correlation_id"]) for r in made] == [("u-17", "req-0001")] * 2


@pytest.mark.parametrize("part", ["AuditTee()", "dictConfig"])
def test_log_calls_show_no_secret(part: str, tmp_path: Path) -> None:
    printed = run(block_with(part), tmp_path)
    assert [record["event_type"] for record in records(printed)] == ["secret.set"]
    assert "signed in" in printed
    assert "never shown" not in printed


def test_the_tests_of_the_page_pass(tmp_path: Path) -> None:
    assert "2 passed" in said_by_pytest(block_with("audit_events"), tmp_path)


def said_by_pytest(code: str, tmp_path: Path) -> str:
    """What pytest says of a module of tests."""
    (tmp_path / "test_page.py").write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", ".", "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
    )
    assert done.returncode == 0, done.stdout
    return done.stdout
