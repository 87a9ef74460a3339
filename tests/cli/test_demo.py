"""``audit-emit demo`` as a stranger runs it: real processes, real HTTP, nothing left behind."""

from __future__ import annotations

import hmac
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from faults.injector import Injector
from support.waiting import PATIENCE, until

import audit_emit
from audit_emit._format.chain import ZERO, leaf_hash
from audit_emit.cli import main
from audit_emit.cli._exit import Exit
from audit_emit.cli._findings import Line, answer, check_chain, leaks, read_log
from audit_emit.cli._service import DemoFailed, Service, as_json, find_apps

START = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from audit_emit_command import main; sys.exit(main())"
)
"""A process started in the background of a shell may inherit that SIGINT is ignored."""
PROGRAM = (sys.executable, "-c", START)
FRAMEWORKS = ["fastapi", "flask"]


def options(framework: str) -> list[str]:
    return ["--flask"] if framework == "flask" else []


@contextmanager
def demo(tmp_path: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    environ = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        (*PROGRAM, "demo", *arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environ,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


class Output:
    """What a process prints, to be waited for."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.text = ""
        self._process = process
        self._more = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._more:
                self.text += line
                self._more.notify_all()

    def until(self, part: str) -> str:
        with self._more:
            assert self._more.wait_for(lambda: part in self.text, PATIENCE), self.text
            return self.text


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE):
            return True
    except OSError:
        return False


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_it_shows_a_service_its_records_and_their_chain(framework: str, tmp_path: Path) -> None:
    with demo(tmp_path, *options(framework)) as process:
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (Exit.OK, "")
    assert "\x1b" not in out
    lines = [line for line in out.splitlines() if line.startswith("audit: ")]
    events = [json.loads(line.removeprefix("audit: "))["event_type"] for line in lines]
    assert events.count("secret.set") == 3
    assert events.count("secret.denied") == 2
    assert events.count("secret.rejected") == 2
    assert events.count("secret.delete") == 1
    question = out.index("Who rotated STRIPE_LIVE_KEY, and when?")
    assert "unchained" not in out[question:]
    assert out[question:].splitlines()[1].startswith("  ops (user) in workspace acme, at 20")
    assert "every link holds" in out
    assert "sk_" + "live_" not in out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, Exit.OK), (signal.SIGTERM, Exit.OK)]
)
def test_served_it_goes_on_until_it_is_told_to_end(
    framework: str, number: signal.Signals, status: Exit, tmp_path: Path
) -> None:
    with demo(tmp_path, "--serve", *options(framework)) as process:
        output = Output(process)
        shown = output.until("audit-emit tail -f")
        found = re.search(r"Bearer ([0-9a-f]+)'.* (http://[0-9.:]+)/workspaces", shown)
        assert found is not None
        token, base = found.groups()
        request = urllib.request.Request(
            f"{base}/workspaces/acme/secrets",
            as_json(key="FROM_OUTSIDE", value="v"),
            {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            assert response.status == 201
        output.until('"key":"FROM_OUTSIDE"')
        process.send_signal(number)
        assert process.stderr is not None
        assert (process.wait(PATIENCE), process.stderr.read()) == (status, "")
    assert not answers(f"{base}/health")
    assert list(tmp_path.iterdir()) == []


def test_interrupted_on_the_way_it_cleans_up(tmp_path: Path) -> None:
    with demo(tmp_path) as process:
        output = Output(process)
        base = re.search(r"http://[0-9.:]+", output.until("started with"))
        assert base is not None
        process.send_signal(signal.SIGINT)
        # Between its last step and its end the interrupt may come too late to matter.
        assert process.wait(PATIENCE) in {130, Exit.OK}
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
    assert not answers(f"{base[0]}/health")
    assert list(tmp_path.iterdir()) == []


def test_a_killed_demo_takes_its_service_with_it(tmp_path: Path) -> None:
    with demo(tmp_path, "--serve") as process:
        base = re.search(r"http://[0-9.:]+", Output(process).until("audit-emit tail -f"))
        assert base is not None
        process.kill()
        process.wait()
        until(lambda: not answers(f"{base[0]}/health"), "the end of the service")


def test_without_the_example_services_it_says_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(audit_emit, "__file__", str(tmp_path / "audit_emit" / "__init__.py"))
    monkeypatch.setitem(sys.modules, "fastapi", None)  # an extra would not help
    assert main(["demo"]) == Exit.NOTHING
    told = capsys.readouterr().err
    assert "make demo" in told
    assert "pip install" not in told


def test_a_service_that_cannot_start_is_told_with_its_own_words(tmp_path: Path) -> None:
    apps = tmp_path / "apps"
    apps.mkdir()
    (apps / "fastapi_app.py").write_text("raise SystemExit('no luck today')")
    (tmp_path / "run").mkdir()
    fails = pytest.raises(DemoFailed, match="no luck today")
    with Service("fastapi", tmp_path / "run", apps) as service, fails:
        service.ask("GET", "/health")


def test_a_service_that_does_not_answer_is_not_waited_for(tmp_path: Path) -> None:
    apps = tmp_path / "apps"
    apps.mkdir()
    (apps / "fastapi_app.py").write_text("import time\ntime.sleep(600)")
    (tmp_path / "run").mkdir()
    with Service("fastapi", tmp_path / "run", apps) as service, pytest.raises(DemoFailed):
        service.ask("GET", "/health", timeout=0.5)


def test_an_interrupt_while_it_waits_is_nothing_else(tmp_path: Path) -> None:
    with Service("flask", tmp_path, find_apps()) as service:
        service.wait_for_request(service.ask("GET", "/health").correlation_id)
        raised = set()
        for at in itertools.count():
            injector = Injector(KeyboardInterrupt, at, ("audit_emit", "threading"))
            try:
                injector.run(lambda: service.wait_for_more(len(service.lines), 0.001))
            except BaseException as error:
                raised.add(type(error))
            if not injector.where:
                break
    assert at > 3
    assert raised == {KeyboardInterrupt}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_first_hash_of_a_service_is_keyed_too(framework: str, tmp_path: Path) -> None:
    with Service(framework, tmp_path, find_apps()) as service:
        body = as_json(key="K", value="v")
        answered = service.ask("POST", "/admin/secrets", "root", body)
        assert answered.status == 201
        service.wait_for_request(answered.correlation_id)
    key = (tmp_path / "hash.key").read_bytes()
    hashes = [r["fields"]["value_hash"] for _, r in read_log(service.log) if "key" in r["fields"]]
    assert hashes == [hmac.digest(key, b"v", "sha256").hex()[:8]]


def chained(count: int) -> list[Line]:
    lines = []
    previous = ZERO
    for seq in range(1, count + 1):
        fields = {"key": "K", "operation": "set" if seq == 1 else "rotate"}
        record = {
            "ts": "2026-05-19T20:00:00.000000000Z",
            "event_type": "secret.set",
            "workspace_id": "acme",
            "user_id": f"u{seq}",
            "actor_kind": "user",
            "correlation_id": "",
            "fields": fields,
            "seq": seq,
            "prev_hash": previous,
        }
        body = json.dumps(record, separators=(",", ":")).encode()
        previous = leaf_hash(body)
        line = body[:-1] + f',"hash":"{previous}"}}\n'.encode()
        lines.append((line, {**record, "hash": previous}))
    return lines


def test_a_chain_that_holds_is_a_table() -> None:
    rows = check_chain(chained(3))
    assert [row.split()[:3] for row in rows] == [[str(n), "secret.set", f"u{n}"] for n in (1, 2, 3)]


@pytest.mark.parametrize("damage", ["changed", "deleted", "swapped"])
def test_a_chain_that_is_damaged_is_not_shown_as_good(damage: str) -> None:
    lines = chained(3)
    if damage == "changed":
        line, record = lines[1]
        lines[1] = (line.replace(b'"u2"', b'"u9"'), record)
    elif damage == "deleted":
        del lines[1]
    else:
        lines[1], lines[2] = lines[2], lines[1]
    with pytest.raises(DemoFailed):
        check_chain(lines)


def test_who_rotated_is_answered_from_the_records() -> None:
    assert [text.split()[0] for text in answer(chained(3), "K")] == ["u2", "u3"]
    with pytest.raises(DemoFailed):
        answer(chained(1), "K")


def test_a_value_that_got_out_is_found() -> None:
    leaks(["value"], {"stdout": b"nothing"})
    with pytest.raises(DemoFailed, match="stdout"):
        leaks(["other", "value"], {"stdout": b"the value is here"})
