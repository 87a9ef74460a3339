"""``audit-emit demo``: a real service, real requests, and what was recorded of them."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import click

from audit_emit._facade.text import visible, visible_bytes
from audit_emit.cli._command import command as a_command
from audit_emit.cli._exit import INTERRUPTED, Exit
from audit_emit.cli._findings import answer, check_chain, leaks, read_log
from audit_emit.cli._service import PREFIX, Answer, DemoFailed, NoApps, Service, as_json, find_apps

ASKED = "STRIPE_LIVE_KEY"
WORKSPACE = "/workspaces/acme/secrets"


class Step(NamedTuple):
    """One request, what it shows, and the status that it must get."""

    title: str
    method: str
    path: str
    user: str | None
    body: bytes | None
    expected: int


class Stage:
    """The output of the demonstration, and the service that it is about."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.shown: int = 0

    def play(self, number: int, step: Step) -> None:
        """Send one request, and show its answer and its audit lines."""
        answered = self.service.ask(step.method, step.path, step.user, step.body)
        title(f"{number}. {step.title}")
        who = step.user if step.user in self.service.tokens else "somebody"
        self.say(f"  {who}: {step.method} {step.path}", bold=True)
        self.service.wait_for_request(answered.correlation_id)
        self.show_lines()
        self._check(step, answered)

    def _check(self, step: Step, answered: Answer) -> None:
        self.say(f"  {answered.status} {visible(answered.text)}\n", dim=True)
        if answered.status != step.expected:
            request = f"{step.method} {step.path}"
            raise DemoFailed(f"{request} got {answered.status}, expected {step.expected}")

    def show_lines(self) -> None:
        """The lines of the service's stdout that have come since the last time."""
        new = self.service.lines[self.shown :]
        self.shown += len(new)
        for line in new:
            told = line.startswith(PREFIX) and b'"http.request"' not in line
            text = visible_bytes(line.rstrip(b"\n"), len(line))
            self.say(text, fg="cyan" if told else None, dim=not told)

    def say(self, text: str, **style: Any) -> None:
        """One line, as it is: what is shown can be copied.

        Args:
            style: see ``click.style``.
        """
        click.secho(text, **style)


def title(text: str) -> None:
    """A heading."""
    click.secho(text, fg="green", bold=True)


def script(values: list[str]) -> list[Step]:
    """The requests; ``values`` are the two versions of one secret, then another one."""
    first, second, third = values
    set_it = ("POST", WORKSPACE)
    smtp = "SMTP_PASSWORD"
    return [
        Step(f"dev sets {ASKED}", *set_it, "dev", as_json(key=ASKED, value=first), 201),
        Step(f"ops rotates {ASKED}", *set_it, "ops", as_json(key=ASKED, value=second), 200),
        Step(
            "an admin sets a secret of the whole installation",
            *("POST", "/admin/secrets", "root", as_json(key=smtp, value=third), 201),
        ),
        Step(
            "dev may not do that",
            *("POST", "/admin/secrets", "dev", as_json(key=smtp, value=third), 403),
        ),
        Step("a token that nobody has", "DELETE", f"{WORKSPACE}/{ASKED}", "stolen", None, 401),
        Step(
            "a body that is not JSON",
            *set_it,
            "dev",
            b'{"key":"X","value":"' + first.encode(),
            400,
        ),
        Step("a value of the wrong type", *set_it, "dev", as_json(key="X", value=[first]), 422),
        Step("an admin deletes a secret", "DELETE", f"/settings/secrets/{smtp}", "root", None, 200),
        Step(
            "deleting it again changes nothing, so there is no secret.delete",
            *("DELETE", f"/settings/secrets/{smtp}", "root", None, 404),
        ),
    ]


@a_command(
    "demo",
    {
        Exit.OK: "everything was as expected",
        Exit.FINDINGS: "something was not as expected",
        Exit.USAGE: "",
        Exit.NOTHING: "the example services are not here",
    },
    ["audit-emit demo", "audit-emit demo --flask --serve"],
)
@click.option("--flask", is_flag=True, help="Use Flask instead of FastAPI.")
@click.option("--serve", is_flag=True, help="Keep the service running, with curl commands to try.")
@click.option("--console", is_flag=True, help="Then show what was recorded in a browser.")
def command(*, flask: bool, serve: bool, console: bool) -> int:
    """Start a real service, change its secrets over HTTP, and show what was recorded.

    Everything happens on a free loopback port and in a temporary directory, and is gone afterwards.
    """
    serving = False
    try:
        with ended_by_signals(), tempfile.TemporaryDirectory(prefix="audit-emit-demo-") as name:
            framework = "flask" if flask else "fastapi"
            apps = find_apps()  # first: without them no extra helps
            need(framework)
            with Service(framework, Path(name), apps) as service:
                stage = Stage(service)
                perform(stage, framework)
                serving = serve or console
                if console:
                    show_console(service.log.parent)
                elif serve:
                    keep_serving(stage)
                else:
                    stage.say("  to look at such a log in a browser: audit-emit demo --console\n")
    except DemoFailed as error:
        print(f"audit-emit demo: {error}", file=sys.stderr)
        return Exit.NOTHING if isinstance(error, NoApps) else Exit.FINDINGS
    except KeyboardInterrupt:
        return Exit.OK if serving else INTERRUPTED
    return Exit.OK


def show_console(log: Path) -> None:
    """Serve the console over the log until Ctrl-C.

    Raises:
        DemoFailed: it ended by itself.
    """
    title("The console, over the log of this demo (Ctrl-C ends both):")
    sys.stdout.flush()
    directory = log / "console"
    directory.mkdir()
    own = {"AUDIT_EMIT_JSONL": str(directory / "audit.jsonl")}
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "audit_emit", "console", str(log)],
        env={**os.environ, **own},
        check=False,
    )
    raise DemoFailed(f"the console has gone (status {done.returncode})")


def need(framework: str) -> None:
    """Import the packages that the service needs.

    Raises:
        ModuleNotFoundError: the extra is missing; the command line tells which one.
    """
    for module in ("flask",) if framework == "flask" else ("fastapi", "uvicorn"):
        import_module(module)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end us as Ctrl-C does, so that nothing is left behind."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in _ENDINGS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


_ENDINGS = (signal.SIGTERM, signal.SIGHUP)


def perform(stage: Stage, framework: str) -> None:
    """Run the demonstration: requests, the question, the file, the chain, the search for values."""
    service = stage.service
    values = ["sk_" + "live_" + secrets.token_hex(12) for _ in range(3)]
    title(f"A secrets service on {framework}, at http://127.0.0.1:{service.port}")
    stage.say(f"  started with stdout as a pipe, and AUDIT_EMIT_JSONL={service.log}")
    service.wait_for_request(service.ask("GET", "/health").correlation_id)
    stage.show_lines()
    stage.say("")
    for number, step in enumerate(script(values), 1):
        stage.play(number, step)
    lines = read_log(service.log)

    title(f"Who rotated {ASKED}, and when?")
    for text in answer(lines, ASKED):
        stage.say(f"  {text}")

    title(f"\nThe file: {service.log.name}, {service.log.stat().st_size} bytes")
    stage.say(f"  {'seq':>4}  {'event_type':<16} {'user_id':<8} {'prev_hash':<14} hash")
    for text in check_chain(lines):
        stage.say(f"  {text}")
    stage.say("  every hash recomputed from the bytes of its line, every link holds", fg="green")

    title("\nWhere are the values?")
    places = {"stdout": b"".join(service.lines), service.log.name: service.log.read_bytes()}
    places["stderr"] = service.errors.read_bytes()
    leaks(values, places)
    stage.say(f"  in none of {', '.join(places)}: only value_hash\n", fg="green")


def keep_serving(stage: Stage) -> None:
    """Show audit lines until Ctrl-C; the curl commands use tokens that die with the service.

    Raises:
        DemoFailed: the service ended by itself.
    """
    service = stage.service
    base = f"http://127.0.0.1:{service.port}"
    title("Still running. Try, in another terminal (Ctrl-C ends it here):")
    dev, root = (f"-H 'Authorization: Bearer {service.tokens[u]}'" for u in ("dev", "root"))
    body = """-d '{"key": "MY_KEY", "value": "my value"}'"""
    for text in (
        f"curl {dev} {body} {base}{WORKSPACE}",
        f"curl {dev} {base}{WORKSPACE}",
        f"curl {dev} -X DELETE {base}{WORKSPACE}/MY_KEY",
        f"curl {root} {body} {base}/admin/secrets",
        f"curl {base}/health",
        f"audit-emit tail -f {service.log}",
        f"audit-emit console {service.log.parent}",
    ):
        stage.say(f"  {text}")
    while service.running:
        service.wait_for_more(stage.shown, 0.5)
        stage.show_lines()
    raise DemoFailed(f"the service has gone{service.complaint()}")
