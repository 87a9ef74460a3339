"""``audit-emit reconcile``: what people and machines get to read, and the exit status."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.chain_builder import SECOND, MadeChain, altered
from support.fake_loki import Fault, LokiServer, status, truncated
from support.fake_loki_store import CONFIGURED, HOUR
from support.log_and_loki import LogAndLoki, OnPush
from support.loki_program import RealLoki
from support.postgres_server import Database
from support.program import CODE

from audit_emit._format.record import ns_of, ts_of
from audit_emit._loki.client import Entry
from audit_emit._loki.journal import Journal
from audit_emit.cli import main
from audit_emit.cli._exit import Exit

Output = pytest.CaptureFixture[str]


@pytest.fixture
def log(tmp_path: Path, fake_loki: LokiServer) -> Iterator[LogAndLoki]:
    """Sixty records, all of them in Loki."""
    made = LogAndLoki(tmp_path / "log", fake_loki.url)
    made.chain.add(60)
    made.write()
    made.ship()
    yield made
    made.client.close()


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails is not tried again."""
    monkeypatch.setattr("audit_emit._loki.http.TRIES", 1)
    monkeypatch.setattr("audit_emit._loki.backfill.TRIES", 1)


def run(log: LogAndLoki, *more: str) -> int:
    return main(["reconcile", str(log.directory), "--loki", log.client.url, *more])


def lose(fake_loki: LokiServer, log: LogAndLoki, *seqs: int) -> None:
    """Loki forgets records."""
    fake_loki.store.streams.clear()
    log.ship(log.without(*seqs))


def test_they_agree(log: LogAndLoki, capsys: Output) -> None:
    assert run(log) == Exit.OK
    first, compared, records = capsys.readouterr().out.splitlines()
    assert first == f"they agree  {log.directory} and {log.client.url}"
    assert compared.split()[0] == "compared"
    assert records.strip() == "the log     60 records, 60 of them in Loki as they are"


def test_the_log_and_the_loki_of_the_environment(
    log: LogAndLoki, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIT_EMIT_JSONL", log.layout.active)
    monkeypatch.setenv("AUDIT_EMIT_LOKI_URL", log.client.url)
    assert main(["reconcile"]) == Exit.OK


def test_ranges_of_what_is_missing(log: LogAndLoki, fake_loki: LokiServer, capsys: Output) -> None:
    lose(fake_loki, log, 5, *range(20, 31))
    assert run(log) == Exit.FINDINGS
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("THEY DISAGREE")
    assert "  missing-in-loki  12 missing in Loki" in lines
    assert lines[-2].strip().startswith(f"chain {log.chain.chain}, record 5, 20")
    assert re.search(r"20 to 30, \S+Z to \S+Z$", lines[-1])


def test_a_disagreement_is_the_status_when_nobody_reads_it(
    log: LogAndLoki, fake_loki: LokiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang_up(*_: object, **__: object) -> None:
        raise BrokenPipeError

    lose(fake_loki, log, 5)
    monkeypatch.setattr("click.echo", hang_up)
    assert run(log) == Exit.FINDINGS


def test_long_lists_are_cut(log: LogAndLoki, fake_loki: LokiServer, capsys: Output) -> None:
    lose(fake_loki, log, *range(2, 60, 2))
    assert run(log) == Exit.FINDINGS
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "    … and 19 more"
    assert len(lines) == 4 + 10 + 1


def test_each_kind_has_its_word(log: LogAndLoki, fake_loki: LokiServer, capsys: Output) -> None:
    lines = log.without(7)
    lines[10] = altered(lines[10])
    fake_loki.store.streams.clear()
    log.ship(lines)
    log.ship([log.chain.lines[3]], service="web")
    log.ship(MadeChain("e" * 16, log.chain.service, log.begin).add(1).lines)
    labels = {"job": "audit", "service": log.chain.service}
    log.client.push([Entry(log.begin + 5, "\x1b[31mred", labels)])
    log.write(last=58)
    assert run(log) == Exit.FINDINGS
    out = capsys.readouterr().out
    for kind in ("missing-in-loki", "altered", "not-in-file", "unknown-chain", "unparsable"):
        assert f"\n  {kind}  " in out
    assert "\n  wrong-labels  1 in Loki with other labels" in out
    assert "service is 'web', not" in out
    assert "\x1b" not in out


def test_json(log: LogAndLoki, fake_loki: LokiServer, capsys: Output) -> None:
    lose(fake_loki, log, 20, 21)
    assert run(log, "--json") == Exit.FINDINGS
    found = json.loads(capsys.readouterr().out)
    assert (found["verdict"], found["exit_status"]) == ("disagree", 1)
    assert found["counts"] == {"missing-in-loki": 2}
    (finding,) = found["findings"]
    assert (finding["from_seq"], finding["to_seq"], finding["count"]) == (20, 21, 2)
    assert found["heads"][0]["seq"] == 60
    assert (found["log"], found["loki"]) == (str(log.directory), log.client.url)


def test_what_is_not_judged_is_said(log: LogAndLoki, capsys: Output) -> None:
    with Path(log.layout.active).open("ab") as file:
        file.write(b"{torn\n")
    assert run(log) == Exit.OK
    assert "  not judged  1 lines of the log that are no records" in capsys.readouterr().out


def test_right_after_writing_it_says_why_not_and_when(
    tmp_path: Path, fake_loki: LokiServer, capsys: Output
) -> None:
    log = LogAndLoki(tmp_path, fake_loki.url, ago=1)
    log.client.close()
    log.chain.add(5, step=1)
    log.write()
    assert run(log) == Exit.INCOMPLETE
    first, why = capsys.readouterr().out.splitlines()
    assert first.startswith("incomplete")
    told = r"  not judged  5 records are younger than --grace 30s \(ask again at (\S+Z)\)"
    found = re.fullmatch(told, why)
    assert found is not None
    assert log.begin + 30 * SECOND < ns_of(found[1]) < log.begin + 33 * SECOND
    assert run(log, "--json") == Exit.INCOMPLETE
    verdict = json.loads(capsys.readouterr().out)
    assert (verdict["verdict"], verdict["young"]) == ("incomplete", 5)
    assert run(log, "--grace", "0s") == Exit.FINDINGS


def test_why_there_is_nothing_to_compare(log: LogAndLoki, capsys: Output) -> None:
    assert run(log, "--until", "2020-01-01") == Exit.NOTHING
    out = capsys.readouterr().out
    assert "NOTHING TO COMPARE" in out
    assert f"its records are from {ts_of(log.begin)} to " in out
    assert "none is of the time that was asked about" in out


def test_a_fast_clock_is_said(tmp_path: Path, fake_loki: LokiServer, capsys: Output) -> None:
    log = LogAndLoki(tmp_path, fake_loki.url)
    log.chain.add(6).add(51, ts=log.begin + 7000 * SECOND)
    log.write()
    log.ship(log.chain.lines[:6])
    log.client.close()
    assert run(log) == Exit.FINDINGS
    out = capsys.readouterr().out
    assert "in-the-future  51 of a time that is still to come, and not compared" in out
    assert "the clock that wrote it is fast" in out


@pytest.mark.parametrize(
    ("directory", "words", "status"),
    [
        ("bank", [], Exit.FINDINGS),
        ("logs", [], Exit.OK),
        ("logs", ["--service", "bank"], Exit.FINDINGS),
        ("bank", ["--service", "bank", "--service", "shop"], Exit.OK),
    ],
)
def test_a_log_belongs_to_the_service_of_its_directory(
    directory: str,
    words: list[str],
    status: int,
    tmp_path: Path,
    fake_loki: LokiServer,
    capsys: Output,
) -> None:
    log = LogAndLoki(tmp_path / directory, fake_loki.url)
    log.chain.service = "bank"
    log.chain.add(3)
    log.chain.service = "shop"
    log.chain.add(2)
    log.write()
    log.ship()
    log.client.close()
    assert run(log, *words) == status
    told = "other-service  2 in the log under the name of another service"
    assert (told in capsys.readouterr().out) is (status == Exit.FINDINGS)


def test_labels_of_the_site_are_declared(
    log: LogAndLoki, fake_loki: LokiServer, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_loki.store.streams.clear()
    log.ship(log.without(7), env="prod")
    assert run(log) == Exit.FINDINGS
    assert "env is 'prod', and should not be there" in capsys.readouterr().out
    assert run(log, "--backfill", "--label", "env=prod") == Exit.OK
    assert {one.get("env") for one in fake_loki.labels()} == {"prod"}
    monkeypatch.setenv("AUDIT_EMIT_LOKI_LABELS", "env=prod")
    assert run(log) == Exit.OK


def test_part_of_it(log: LogAndLoki, fake_loki: LokiServer, capsys: Output) -> None:
    lose(fake_loki, log, *range(1, 11))
    assert run(log) == Exit.FINDINGS
    hint = capsys.readouterr().out.splitlines()[-1]
    assert "It is the beginning that is missing." in hint
    begin = hint.rpartition(" ")[2].replace("Z", "1Z")
    assert run(log, "--since", begin[:26] + "Z") == Exit.FINDINGS
    after = MadeChain("0" * 16, "x", log.begin + 10 * SECOND).add(1).lines[0][7:26].decode()
    assert run(log, "--since", after) == Exit.OK


def test_another_address(log: LogAndLoki, fake_loki: LokiServer, capsys: Output) -> None:
    fake_loki.store.streams.clear()
    assert run(log) == Exit.FINDINGS
    assert "is this its address, and its tenant?" in capsys.readouterr().out


def test_logs_that_share_a_service(log: LogAndLoki, capsys: Output) -> None:
    other = MadeChain("e" * 16, log.chain.service, log.begin + 1).add(5)
    log.ship(other.lines)
    assert run(log) == Exit.FINDINGS
    assert "--shared" in capsys.readouterr().out
    assert run(log, "--shared") == Exit.OK
    other.write(log.directory.parent / "other" / "audit.jsonl")
    paths = [str(log.directory), str(log.directory.parent / "other")]
    assert main(["reconcile", *paths, "--loki", log.client.url]) == Exit.OK


# Backfill


def test_backfill(log: LogAndLoki, fake_loki: LokiServer, capsys: Output) -> None:
    lose(fake_loki, log, 5, *range(20, 31))
    assert run(log, "--backfill") == Exit.OK
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("they agree")
    assert lines[-1] == "pushed: 12 are in Loki now"
    assert run(log, "--backfill") == Exit.OK
    assert capsys.readouterr().out.splitlines()[-1] == "pushed: 0 are in Loki now"
    assert fake_loki.lines() == [line.decode() for line in log.chain.lines]


def test_a_plan_pushes_nothing(log: LogAndLoki, fake_loki: LokiServer, capsys: Output) -> None:
    lose(fake_loki, log, 5, *range(20, 31))
    fake_loki.asked.clear()
    assert run(log, "--backfill", "--plan") == Exit.FINDINGS
    last = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(
        # Late records are split by the hour, which may have changed among these.
        r"would push 12 records, [\d,]+ bytes, in 1 request; that opens (1 stream|2 streams)",
        last,
    )
    assert {method for method, _, _ in fake_loki.asked} == {"GET"}
    assert not (log.directory / "backfill.jsonl").exists()


def test_backfill_as_json(log: LogAndLoki, fake_loki: LokiServer, capsys: Output) -> None:
    lose(fake_loki, log, 5)
    assert run(log, "--backfill", "--plan", "--json") == Exit.FINDINGS
    assert json.loads(capsys.readouterr().out)["plan"]["records"] == 1
    assert run(log, "--backfill", "--json") == Exit.OK
    found = json.loads(capsys.readouterr().out)
    assert found["backfill"] == {"placed": 1, "accepted": 0, "doubtful": 0, "left": 0, "later": 0}


def test_a_late_log_goes_in_steps(
    tmp_path: Path, fake_loki: LokiServer, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit_emit._loki.backfill.FLUSHED", 0.0)
    fake_loki.store.limits = CONFIGURED
    log = LogAndLoki(tmp_path, fake_loki.url, ago=40 * 24 * 3600)
    log.client.close()
    log.chain.add(30, step=HOUR)
    log.write()
    assert run(log, "--backfill", "--plan", "--streams", "12") == Exit.FINDINGS
    assert "in 3 requests; that opens 30 streams, in 3 steps" in capsys.readouterr().out
    assert run(log, "--backfill", "--streams", "12") == Exit.INCOMPLETE
    out, err = capsys.readouterr()
    assert "this is the first one, as --flush is not given" in err
    assert "18 are left for a further step." in out
    assert run(log, "--backfill", "--streams", "12", "--flush") == Exit.OK
    assert "Loki writes its chunks" in capsys.readouterr().err
    assert run(log) == Exit.OK


def test_what_could_not_be_placed_and_why(
    log: LogAndLoki, fake_loki: LokiServer, capsys: Output
) -> None:
    fake_loki.store.streams.clear()
    fake_loki.store.limits.reject_old_samples_max_age = 600 * SECOND
    assert run(log, "--backfill") == Exit.FINDINGS
    out = capsys.readouterr().out
    assert "too old: Loki takes nothing older than reject_old_samples_max_age" in out
    assert out.endswith("pushed: 0 are in Loki now; 60 could not be placed\n")


def test_what_is_accepted_and_not_shown(
    tmp_path: Path, fake_loki: LokiServer, capsys: Output
) -> None:
    fake_loki.store.limits.query_ingesters_within = 3 * 3600 * SECOND
    log = LogAndLoki(tmp_path / "log", fake_loki.url, ago=5 * 3600)
    log.chain.add(5)
    log.write()
    assert run(log, "--backfill") == Exit.INCOMPLETE
    out = capsys.readouterr().out
    assert out.startswith("incomplete")
    assert "0 are in Loki now; 5 were accepted" in out
    assert "run it again then" in out
    assert run(log) == Exit.INCOMPLETE
    assert "5 that were pushed lately and are not shown yet" in capsys.readouterr().out
    log.client.close()


def test_the_journal_may_be_elsewhere(
    log: LogAndLoki, fake_loki: LokiServer, tmp_path: Path
) -> None:
    lose(fake_loki, log, 5)
    assert run(log, "--backfill", "--journal", str(tmp_path / "journal")) == Exit.OK
    assert (tmp_path / "journal").stat().st_size > 0
    assert not (log.directory / "backfill.jsonl").exists()


def test_the_journal_has_no_credentials(
    log: LogAndLoki, fake_loki: LokiServer, capsys: Output
) -> None:
    lose(fake_loki, log, 5)
    url = log.client.url.replace("http://", "http://user:not-a-secret@")
    assert main(["reconcile", str(log.directory), "--loki", url, "--backfill"]) == Exit.OK
    assert "not-a-secret" not in (log.directory / "backfill.jsonl").read_text("utf-8")
    assert "not-a-secret" not in "".join(capsys.readouterr())


def test_a_journal_that_cannot_be_written(
    log: LogAndLoki, fake_loki: LokiServer, tmp_path: Path, capsys: Output
) -> None:
    lose(fake_loki, log, 5)
    fake_loki.asked.clear()
    journal = str(tmp_path / "missing" / "journal")
    assert run(log, "--backfill", "--journal", journal) == Exit.NOTHING
    assert journal in capsys.readouterr().err
    assert fake_loki.asked == []


def test_two_backfills_at_once(log: LogAndLoki, capsys: Output) -> None:
    with Journal(log.journal, "somewhere"):
        assert run(log, "--backfill") == Exit.INCOMPLETE
    assert "another backfill is at work" in capsys.readouterr().err


# The head


def test_the_head_is_one_for_verify(log: LogAndLoki, capsys: Output) -> None:
    assert run(log, "--head") == Exit.OK
    head = capsys.readouterr().out.strip()
    assert head == f"60:{log.chain.lines[-1][-66:-2].decode()}"
    verify = ["verify", "--expect-head", head]
    assert main([*verify, str(log.directory)]) == Exit.OK
    log.write(last=55)
    assert main([*verify, str(log.directory)]) == Exit.FINDINGS
    assert "truncated" in capsys.readouterr().out


def test_the_head_as_json(log: LogAndLoki, capsys: Output) -> None:
    assert run(log, "--head", "--json") == Exit.OK
    (head,) = json.loads(capsys.readouterr().out)["heads"]
    assert (head["chain"], head["seq"]) == (log.chain.chain, 60)
    assert head["ts"].encode() == log.chain.lines[-1][7:37]


def test_the_head_of_each_of_several_chains(log: LogAndLoki, capsys: Output) -> None:
    other = MadeChain("e" * 16, "web", log.begin).add(5)
    log.ship(other.lines)
    path = other.write(log.directory.parent / "other" / "audit.jsonl")
    words = ["reconcile", str(log.directory), str(path), "--loki", log.client.url, "--head"]
    assert main(words) == Exit.OK
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith(f"  {log.chain.chain}")
    assert second == f"5:{other.lines[-1][-66:-2].decode()}  {other.chain}"


def test_no_head(log: LogAndLoki, fake_loki: LokiServer, capsys: Output) -> None:
    fake_loki.store.streams.clear()
    assert run(log, "--head") == Exit.NOTHING
    assert "Loki has no record of this log" in capsys.readouterr().err


# Trouble


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (status(500, "oops"), "refused with status 500: oops"),
        (status(429, "too many"), "refused with status 429: too many"),
        (status(400, "what?"), "refused with status 400: what?"),
        (status(401, "no org id"), "it needs a tenant"),
        (status(302, Location="http://elsewhere.example/x"), "redirect (302)"),
        (truncated, "that are not its JSON"),
        (lambda _: None, "cannot be read"),
    ],
    ids=["500", "429", "400", "401", "redirect", "truncated", "hung up"],
)
@pytest.mark.parametrize("more", [(), ("--head",), ("--backfill",)], ids=["", "head", "backfill"])
def test_loki_in_trouble(
    log: LogAndLoki,
    fake_loki: LokiServer,
    capsys: Output,
    fault: Fault,
    words: str,
    more: tuple[str, ...],
) -> None:
    before = fake_loki.lines()
    fake_loki.faults = [fault] * 9
    assert run(log, *more) == Exit.NO_ANSWER
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"audit-emit: [^\n]*\n", err)
    assert words in err
    assert fake_loki.lines() == before


def test_loki_that_is_slow(
    log: LogAndLoki, fake_loki: LokiServer, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIT_EMIT_LOKI_TIMEOUT", "0.2")
    fake_loki.faults = [fake_loki.slow] * 9
    assert run(log, "--backfill") == Exit.NO_ANSWER
    assert "did not answer within 0.2 s" in capsys.readouterr().err


def test_loki_that_is_not_there(tmp_path: Path, capsys: Output) -> None:
    server = LokiServer()
    server.close()
    log = LogAndLoki(tmp_path / "log", server.url)
    log.chain.add(3)
    log.write()
    for more in ((), ("--backfill",), ("--head",)):
        assert run(log, *more) == Exit.NO_ANSWER
        said = capsys.readouterr().err
        assert "cannot be reached: " in said
        assert "Errno" not in said
    log.client.close()


def test_a_backfill_that_ends_early_tells_what_it_did(
    log: LogAndLoki, fake_loki: LokiServer, capsys: Output
) -> None:
    lose(fake_loki, log, 5, 6)
    fake_loki.faults = OnPush(fake_loki, *[status(500, "oops")] * 50)
    assert run(log, "--backfill") == Exit.NO_ANSWER
    out, err = capsys.readouterr()
    assert "not tried" in out
    assert out.endswith("pushed: 0 are in Loki now; 2 could not be placed\n")
    assert "refused with status 500: oops" in err


def test_a_finding_is_the_status_also_when_a_backfill_ends_early(
    log: LogAndLoki, fake_loki: LokiServer, capsys: Output
) -> None:
    lose(fake_loki, log, 5, 6)
    log.ship([altered(log.chain.lines[7])])
    fake_loki.faults = OnPush(fake_loki, *[status(500, "oops")] * 50)
    assert run(log, "--backfill") == Exit.FINDINGS
    out, err = capsys.readouterr()
    assert "altered" in out
    assert "refused with status 500: oops" in err


def test_the_tenant(tmp_path: Path, capsys: Output) -> None:
    server = LokiServer(tenants=True)
    log = LogAndLoki(tmp_path / "log", server.url, "right")
    log.chain.add(5)
    log.write()
    log.ship()
    assert run(log, "--tenant", "right") == Exit.OK
    assert run(log, "--tenant", "wrong") == Exit.FINDINGS
    assert run(log) == Exit.NO_ANSWER
    assert "it needs a tenant" in capsys.readouterr().err
    log.client.close()
    server.close()


@pytest.mark.parametrize(
    "words",
    [
        ["--loki", "nowhere"],
        ["--plan"],
        ["--flush"],
        ["--backfill", "--head"],
        ["--backfill", "second"],
        ["--grace", "soon"],
        ["--since", "soon"],
        ["--rate", "0"],
        ["--tenant", "two words"],
    ],
)
def test_usage(log: LogAndLoki, words: list[str], capsys: Output) -> None:
    given = ["reconcile", str(log.directory), "--loki", log.client.url, *words]
    assert main(given) == Exit.USAGE
    assert capsys.readouterr().err


def test_which_loki(log: LogAndLoki, capsys: Output) -> None:
    assert main(["reconcile", str(log.directory)]) == Exit.USAGE
    assert "AUDIT_EMIT_LOKI_URL" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["-", "audit-00000000000000000001.jsonl", "audit.jsonl.gz"])
def test_a_part_of_a_log_is_no_log(log: LogAndLoki, name: str) -> None:
    path = name if name == "-" else str(log.directory / name)
    assert main(["reconcile", path, "--loki", log.client.url]) == Exit.USAGE


def test_no_log(tmp_path: Path, fake_loki: LokiServer, capsys: Output) -> None:
    words = ["--loki", fake_loki.url]
    assert main(["reconcile", str(tmp_path / "missing"), *words]) == Exit.NOTHING
    (tmp_path / "audit.jsonl").touch()
    capsys.readouterr()
    assert main(["reconcile", str(tmp_path), *words]) == Exit.NOTHING
    assert capsys.readouterr().out.startswith("NOTHING TO COMPARE")


def test_without_httpx(log: LogAndLoki) -> None:
    code = f"import sys; sys.modules['httpx'] = None; {CODE}"
    words = ["reconcile", str(log.directory), "--loki", log.client.url]
    found = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, check=False)
    assert found.returncode == Exit.USAGE
    assert b"audit-emit[loki]" in found.stderr


def test_progress_is_for_terminals_only(log: LogAndLoki) -> None:
    code = (
        "import sys; from audit_emit.cli import main, _bar; _bar.Bar.QUIET = 0;"
        "_bar.Bar.EVERY = 0; sys.exit(main())"
    )
    words = ["reconcile", str(log.directory), "--loki", log.client.url]
    command = [sys.executable, "-c", code, *words]
    parent, child = pty.openpty()
    found = subprocess.run(command, stdout=subprocess.PIPE, stderr=child, check=False)
    os.close(child)
    shown = os.read(parent, 65536)
    os.close(parent)
    assert found.returncode == Exit.OK
    assert b"reading [" in shown
    assert b"comparing [" in shown
    assert shown.endswith(b"\r\x1b[K")
    quiet = subprocess.run(command, capture_output=True, check=False)
    assert quiet.stderr == b""


@pytest.mark.loki
def test_with_a_real_loki(tmp_path: Path, loki: RealLoki, capsys: Output) -> None:
    log = LogAndLoki(tmp_path / "log", loki.url, loki.tenant)
    log.chain.add(300)
    log.write()
    log.ship(log.without(1, 100, 101, 300))
    tenant = ["--tenant", loki.tenant]
    assert run(log, *tenant) == Exit.FINDINGS
    assert run(log, *tenant, "--backfill") == Exit.OK
    assert run(log, *tenant, "--backfill") == Exit.OK
    capsys.readouterr()
    assert run(log, *tenant, "--head") == Exit.OK
    assert capsys.readouterr().out.startswith("300:")
    assert log.in_loki() == log.chain.lines
    log.client.close()


# A chain in a database.


def of_database(where: str, log: LogAndLoki, *more: str) -> int:
    return main(["reconcile", where, "--loki", log.client.url, *more])


@pytest.fixture
def stored(log: LogAndLoki, audited: Database) -> str:
    """The address of a database that has the same log."""
    assert main(["ship", str(log.directory), "--to", audited.as_user("the_writer")]) == Exit.OK
    return audited.as_user("the_reader")


def test_a_chain_in_a_database_is_compared_as_a_file_is(
    log: LogAndLoki, stored: str, fake_loki: LokiServer, capsys: Output
) -> None:
    assert of_database(stored, log) == Exit.OK
    assert "they agree" in capsys.readouterr().out
    lose(fake_loki, log, 5, *range(20, 31))
    assert of_database(stored, log, "--json") == Exit.FINDINGS
    found = json.loads(capsys.readouterr().out)
    assert run(log, "--json") == Exit.FINDINGS
    of_file = json.loads(capsys.readouterr().out)
    assert found.pop("log") == stored
    assert found.pop("until") <= of_file.pop("until")  # now, where nobody says otherwise
    assert of_file.pop("log") == str(log.directory)
    assert found == of_file


def test_what_is_missing_is_pushed_from_the_database(
    log: LogAndLoki, stored: str, fake_loki: LokiServer, capsys: Output, tmp_path: Path
) -> None:
    lose(fake_loki, log, 5, *range(20, 31))
    assert of_database(stored, log, "--backfill") == Exit.USAGE
    assert "--journal FILE" in capsys.readouterr().err
    journal = str(tmp_path / "journal")
    assert of_database(stored, log, "--backfill", "--journal", journal) == Exit.OK
    assert fake_loki.lines() == [line.decode() for line in log.chain.lines]


def test_the_head_of_a_chain_in_a_database(log: LogAndLoki, stored: str, capsys: Output) -> None:
    capsys.readouterr()
    assert of_database(stored, log, "--head") == Exit.OK
    assert capsys.readouterr().out.startswith("60:")


def test_files_and_a_database_are_not_one_log(log: LogAndLoki, stored: str, capsys: Output) -> None:
    assert run(log, stored) == Exit.USAGE
    assert "one after the other" in capsys.readouterr().err
