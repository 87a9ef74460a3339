"""Questions to a log and to Loki: the same records, in the same order."""

from __future__ import annotations

import gzip
import os
import time
from collections.abc import Iterable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import confusable_records
from support.chain_builder import MadeChain
from support.fake_loki import Asked, LokiServer
from support.processor_time import takes_less

from audit_emit._format.record import ts_of
from audit_emit._loki.client import Entry, LokiClient
from audit_emit._loki.labels import placement_of
from audit_emit._query.question import Question, Term
from audit_emit._query.search import AHEAD, MONTH, ask_log, ask_loki, candidates
from audit_emit.errors import Refused

SECOND = 10**9
HOUR = 3600 * SECOND
NOW = time.time_ns() // SECOND * SECOND
TENANTS = count()


def entries(lines: Iterable[bytes]) -> list[Entry]:
    """As the pipeline ships them."""
    found = [(line, placement_of(line)) for line in lines]
    return [Entry(one.ts, line.decode(), one.labels) for line, one in found if one is not None]


def asked(*terms: str, **others: Any) -> Question:
    return Question(terms=tuple(map(Term.parse, terms)), **others)


@pytest.fixture
def chain() -> MadeChain:
    """Ten records, a second apart; the third is of another type."""
    made = MadeChain(begin=NOW - 100 * SECOND)
    return made.add(2).add(event_type="auth.login").add(7, fields={"key": "A"})


@pytest.fixture
def log(tmp_path: Path, chain: MadeChain) -> Path:
    """The chain in three files: packed, closed, active."""
    directory = tmp_path / "log"
    chain.write(directory / "audit.jsonl", 7)
    chain.write(directory / f"audit-{5:020d}.jsonl", 5, 6)
    first = chain.write(directory / f"audit-{1:020d}.jsonl", 1, 4)
    Path(f"{first}.gz").write_bytes(gzip.compress(first.read_bytes()))
    first.unlink()
    return directory


# A log


def test_all_files_of_a_log_answer_in_order(log: Path, chain: MadeChain) -> None:
    assert ask_log(Question(), str(log)).lines == chain.lines
    assert ask_log(Question(), str(log / "audit.jsonl")).lines == chain.lines


def test_one_closed_segment_answers_alone(log: Path, chain: MadeChain) -> None:
    assert ask_log(Question(), str(log / f"audit-{1:020d}.jsonl.gz")).lines == chain.lines[:4]
    assert ask_log(Question(), str(log / f"audit-{5:020d}.jsonl")).lines == chain.lines[4:6]


def test_standard_input_answers(
    chain: MadeChain, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As captured from a service: with the prefix, and with what is no record."""
    text = b"starting up\n" + b"".join(b"audit: %b\r\n" % line for line in chain.lines)
    (tmp_path / "captured").write_bytes(text)
    with (tmp_path / "captured").open("rb") as file:
        before = os.dup(0)
        os.dup2(file.fileno(), 0)
        try:
            answer = ask_log(Question(), "-")
        finally:
            os.dup2(before, 0)
            os.close(before)
    assert (answer.lines, answer.strange) == (chain.lines, 1)


@pytest.mark.parametrize("needle", ["event_type", "type"])
def test_the_newest_are_kept(needle: str, log: Path, chain: MadeChain) -> None:
    question = Question() if needle == "event_type" else Question(types=("secret.set",))
    wanted = [line for line in chain.lines if question.match(line)]
    for limit in range(len(wanted) + 2):
        answer = ask_log(question, str(log), limit)
        assert answer.lines == wanted[max(0, len(wanted) - limit) :]
        assert answer.cut is (limit < len(wanted))


@pytest.mark.parametrize("line", [b"\n", b"{\n", b"foreign\n", b'"ts"\n', b"\\\n"])
def test_foreign_lines_are_counted_wherever_they_stand(tmp_path: Path, line: bytes) -> None:
    chain = MadeChain().add(4)
    first, second, third, fourth = (each + b"\n" for each in chain.lines)
    data = line * 3 + first + line + second + third + line * 2000 + fourth + line * 5
    (tmp_path / "audit.jsonl").write_bytes(data)
    answer = ask_log(Question(), str(tmp_path))
    assert answer.lines == chain.lines
    assert answer.strange == 2009


@pytest.mark.parametrize("line", [b"\n", b"{\n", b"foreign\n"])
def test_foreign_lines_cost_little_more_than_their_bytes(tmp_path: Path, line: bytes) -> None:
    count = 4_000_000 // len(line)
    chain = MadeChain().add(4)
    path = chain.write(tmp_path / "audit.jsonl")
    with path.open("ab") as file:
        file.write(line * count)
    assert ask_log(Question(), str(path)).strange == count
    # Seconds, of a usual machine, for four megabytes.
    assert takes_less(lambda: ask_log(Question(), str(path)), 2.0)


def test_the_newest_of_very_many_are_kept(tmp_path: Path) -> None:
    """Also when the clock stepped back, so that later records are older."""
    chain = MadeChain(begin=NOW).add(1500).add(1500, ts=NOW - HOUR, step=7)
    path = chain.write(tmp_path / "audit.jsonl")
    answer = ask_log(Question(), str(path), 20)
    assert answer.lines == chain.lines[1480:1500]
    assert answer.cut


def test_the_newest_are_kept_however_times_go_to_and_fro(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit_emit._query.search._SPARE", 0)
    half = 41 + 69 * 21  # at the last of which only 20 are kept
    chain = MadeChain().add(half, ts=NOW, step=2).add(half, ts=NOW + 1, step=2)
    path = chain.write(tmp_path / "audit.jsonl")
    found = [ts_of(NOW + i) for i in range(2 * half - 20, 2 * half)]
    lines = ask_log(Question(), str(path), 20).lines
    assert [line[7:37].decode() for line in lines] == found


def test_records_come_in_order_of_time(tmp_path: Path) -> None:
    chain = MadeChain().add(2, ts=NOW).add(2, ts=NOW - HOUR)
    path = chain.write(tmp_path / "audit.jsonl")
    assert ask_log(Question(), str(path)).lines == [chain.lines[i] for i in (2, 3, 0, 1)]


def test_a_torn_end_and_a_line_that_is_too_long_are_passed_over(
    tmp_path: Path, chain: MadeChain
) -> None:
    path = tmp_path / "audit.jsonl"
    long = b'{"ts":"' + b"x" * (3 << 20) + b"\n"
    path.write_bytes(chain.lines[0] + b"\n" + long + chain.lines[1] + b"\n" + chain.lines[2][:-9])
    assert ask_log(Question(), str(path)).lines == chain.lines[:2]


def test_lines_that_are_no_records_are_counted(tmp_path: Path, chain: MadeChain) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b"%b\nnoise\n%b\n" % (chain.lines[4], chain.lines[5][:-3]))
    assert ask_log(Question(), str(path)).strange == 2
    assert ask_log(Question(types=("secret.set",)), str(path)).strange == 1


def test_no_log_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ask_log(Question(), str(tmp_path))


def test_a_damaged_packed_segment_is_an_error(log: Path) -> None:
    path = log / f"audit-{1:020d}.jsonl.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(OSError, match="damaged or cut off"):
        ask_log(Question(), str(log))


def test_progress_is_told(log: Path) -> None:
    told: list[tuple[int, int]] = []
    ask_log(Question(), str(log), progress=lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1][0] == told[-1][1] or told[-1][0] > 0


def test_a_chained_form_comes_before_a_stub_and_before_an_unchained_one(tmp_path: Path) -> None:
    chain = MadeChain(begin=NOW).add(2, fields={"text": "x" * 3000})
    full, second = chain.lines
    cut, waited = chain.cut(1, 2000), chain.early(1)
    path = tmp_path / "audit.jsonl"

    def found(*lines: bytes) -> list[bytes]:
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        return ask_log(Question(), str(path)).lines

    assert found(waited, cut, full, second, full) == [full, second]
    assert found(waited, cut) == [cut]
    assert found(waited) == [waited]
    forged = full.replace(b"acme", b"evil")
    assert sorted(found(full, forged)) == sorted([full, forged])


# Looking before parsing

PARTS = ["ab", "aab", "ba", "b0", "é", r"\u0061", r"\u000a", r"\u", "x"]
BLOCKS = st.lists(
    st.lists(st.sampled_from(PARTS), max_size=3).map(lambda parts: "".join(parts).encode() + b"\n"),
    min_size=1,
    max_size=8,
)


@given(BLOCKS, st.lists(st.sampled_from([b"ab", b"ba", b"aab", b"b0"]), max_size=2))
@settings(deadline=None)
def test_no_line_that_may_answer_is_passed_over(lines: list[bytes], needles: list[bytes]) -> None:
    found = list(candidates(b"".join(lines), needles))
    hidden = [rb"\u0061" in line for line in lines]
    assert found == [
        line[:-1]
        for line, escaped in zip(lines, hidden, strict=True)
        if escaped or all(needle in line for needle in needles)
    ]


# Loki


@pytest.fixture
def client(fake_loki: LokiServer) -> Any:
    with LokiClient(fake_loki.url, sleep=lambda _: None) as made:
        yield made


def test_loki_gives_what_the_log_gives(chain: MadeChain, log: Path, each_loki: Asked) -> None:
    edge = NOW - 95 * SECOND
    table = [
        Question(),
        Question(types=("secret.set",)),
        Question(types=("auth.*", "secret.*")),
        Question(changed="A"),
        Question(actor="u-*", workspace="acme"),
        Question(since=edge),
        Question(until=edge),
        Question(since=edge, until=edge + 3 * SECOND),
        Question(since=edge, until=edge),
        asked("key=A", "n=7"),
        asked("key!=A"),
        asked("key="),
        asked("service=secrets-api", "n=?"),
        asked("seq=10"),
        asked("n!=[1-5]", 'fields["x]"]='),
    ]
    with LokiClient(each_loki.url, tenant=each_loki.tenant) as client:
        # Structured metadata takes the place of a parsed label that has its name.
        metadata = {"user_id": "somebody", "key": "B", "fields": "x"}
        client.push(one._replace(metadata=metadata) for one in entries(chain.lines))
        for question in table:
            for limit in (None, 3):
                lately = question._replace(since=question.since or NOW - HOUR)
                here = ask_log(lately, str(log), limit)
                assert ask_loki(lately, client, NOW, limit) == here, lately
        assert ask_loki(Question(), client, NOW).lines == chain.lines


@st.composite
def trails(draw: st.DrawFn) -> list[tuple[str, Question]]:
    size = draw(st.integers(1, 12))
    return [draw(confusable_records.pairs(ts_of(NOW - HOUR + i))) for i in range(size)]


@pytest.mark.timeout(300)
def test_any_question_finds_the_same_in_both(each_loki: Asked, tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"

    @given(trails())
    @settings(max_examples=15, deadline=None, database=None)
    def check(trail: list[tuple[str, Question]]) -> None:
        lines = [line.encode() for line, _ in trail]
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        tenant = f"{each_loki.tenant}-{next(TENANTS)}"
        with LokiClient(each_loki.url, tenant=tenant) as client:
            client.push(entries(lines))
            for _, any_time in trail:
                question = any_time._replace(since=NOW - 2 * HOUR)
                found = ask_loki(question, client, NOW)
                assert found.lines == ask_log(question, str(path)).lines, question.logql()

    check()


def test_without_a_time_loki_is_asked_about_a_month(
    client: LokiClient, fake_loki: LokiServer
) -> None:
    fake_loki.store.limits.reject_old_samples_max_age = None
    chain = MadeChain(begin=NOW - MONTH - SECOND).add(3)
    client.push(entries(chain.lines))
    assert ask_loki(Question(), client, NOW).lines == chain.lines[1:]
    assert ask_loki(Question(since=0), client, NOW).lines == chain.lines
    until = NOW - MONTH
    assert ask_loki(Question(until=until), client, NOW).lines == chain.lines[:1]


def test_a_clock_that_is_ahead_is_no_reason_to_miss_anything(client: LokiClient) -> None:
    chain = MadeChain(begin=NOW + 500 * SECOND).add(1)
    client.push(entries(chain.lines))
    assert ask_loki(Question(), client, NOW).lines == chain.lines


@pytest.mark.parametrize("until", [2**62, 253_402_300_799 * 10**9])  # 2116, and 9999
def test_loki_is_not_asked_about_times_that_are_to_come(
    client: LokiClient, fake_loki: LokiServer, until: int
) -> None:
    chain = MadeChain(begin=NOW).add(1)
    client.push(entries(chain.lines))
    begun = len(fake_loki.asked)
    assert ask_loki(Question(until=until), client, NOW).lines == chain.lines
    ends = [int(asked["end"]) for _, _, asked in fake_loki.asked[begun:]]
    assert max(ends) <= NOW + AHEAD


def test_a_few_are_asked_for_in_few_requests(client: LokiClient, fake_loki: LokiServer) -> None:
    client.push(entries(MadeChain(begin=NOW - HOUR // 2).add(1500, step=SECOND).lines))
    begun = len(fake_loki.asked)
    answer = ask_loki(Question(), client, NOW, 5)
    assert (len(answer.lines), answer.cut) == (5, True)
    assert len(fake_loki.asked) - begun <= 2


@pytest.mark.parametrize("limit", range(1, 7))
def test_a_cut_through_one_time_is_the_same_in_both(
    limit: int, client: LokiClient, tmp_path: Path
) -> None:
    chains = [MadeChain(f"{n:016x}", f"s{n}", NOW).add(3, step=1) for n in (3, 1, 2)]
    lines = [line.replace(b"-8000-", b"-800%x-" % n) for n in range(3) for line in chains[n].lines]
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    client.push(entries(lines))
    assert ask_loki(Question(), client, NOW, limit) == ask_log(Question(), str(path), limit)


def test_what_loki_has_twice_counts_once(client: LokiClient) -> None:
    chain = MadeChain(begin=NOW).add(30)
    client.push(entries(chain.lines))
    more = [one._replace(labels={**one.labels, "copy": "2"}) for one in entries(chain.lines)]
    client.push(more)
    assert ask_loki(Question(), client, NOW).lines == chain.lines
    assert ask_loki(Question(), client, NOW, 10).lines == chain.lines[-10:]


def test_lines_of_loki_that_are_no_records_are_counted(client: LokiClient) -> None:
    chain = MadeChain(begin=NOW).add(1, fields={"key": "A"})
    torn = Entry(NOW, chain.lines[0].decode()[:-5], {"job": "audit"})
    client.push([*entries(chain.lines), torn])
    answer = ask_loki(asked("key=A"), client, NOW)
    assert (answer.lines, answer.strange) == (chain.lines, 1)


def test_trouble_is_raised_not_taken_for_an_answer(
    client: LokiClient, fake_loki: LokiServer
) -> None:
    client.push(entries(MadeChain(begin=NOW).add(3).lines))
    fake_loki.store.limits.max_query_length = 0
    with pytest.raises(Refused):
        ask_loki(Question(), client, NOW)
