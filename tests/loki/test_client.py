"""The client of Loki: pages, limits, patience, and what it says when something goes wrong."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.fake_loki import Asked, Fault, LokiServer, lost, status, truncated
from support.fake_loki_store import DAY, HOUR
from support.loki_program import RealLoki
from support.waiting import PATIENCE

from audit_emit import errors
from audit_emit._loki import http as _loki_http
from audit_emit._loki.client import Entry, LokiClient
from audit_emit.errors import (
    ConfigError,
    Limited,
    LokiError,
    Malformed,
    Refused,
    ServerFailed,
    TimedOut,
    Unreachable,
)

NOW = time.time_ns() // 10**9 * 10**9
ALL = '{job="audit"}'
CANARY = "canary-3f1c"


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def client(fake_loki: LokiServer, slept: list[float]) -> Iterator[LokiClient]:
    with LokiClient(fake_loki.url, timeout=PATIENCE, sleep=slept.append) as made:
        yield made


@pytest.fixture
def each_client(each_loki: Asked) -> Iterator[LokiClient]:
    with LokiClient(each_loki.url, tenant=each_loki.tenant) as made:
        yield made


def entry(offset: int, line: str, stream: str = "a", **metadata: str) -> Entry:
    return Entry(NOW + offset, line, {"job": "audit", "s": stream}, metadata)


def lines(client: LokiClient, begin: int = 0, end: int = 10**9, **options: Any) -> list[str]:
    found = client.query_range(ALL, NOW + begin, NOW + end, **options)
    return [one.line for one in found]


# What comes back


def test_an_entry_comes_back_as_it_was_pushed(each_client: LokiClient) -> None:
    pushed = [entry(0, 'é🔑 "\\ \u2028', m="1"), entry(1, " ", "b"), entry(2, "x")]
    each_client.push(pushed)
    assert list(each_client.query_range(ALL, NOW, NOW + 3)) == pushed


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("page", [3, 4, 5000])
def test_pages_neither_lose_nor_double_what_shares_a_time(
    page: int, direction: Any, each_client: LokiClient
) -> None:
    """Two entries of a time in each page's end, in two streams."""
    each_client.push([entry(i // 2, str(i), "ab"[i % 2]) for i in range(20)])
    found = [
        one.ts
        for one in each_client.query_range(ALL, NOW, NOW + 50, page=page, direction=direction)
    ]
    assert found == sorted(found, reverse=direction == "backward")
    assert sorted(map(int, lines(each_client, page=page, direction=direction))) == list(range(20))


@pytest.fixture(scope="module")
def shared() -> Iterator[LokiServer]:
    server = LokiServer(tenants=True)
    yield server
    server.close()


TENANTS = count()


@given(
    entries=st.lists(st.tuples(st.integers(0, 12), st.sampled_from("abc")), max_size=24),
    page=st.integers(1, 8),
    direction=st.sampled_from(["forward", "backward"]),
    edges=st.tuples(st.integers(0, 13), st.integers(0, 13)),
)
@settings(max_examples=60, deadline=None)
def test_any_entries_come_in_pages_of_any_size(
    shared: LokiServer,
    entries: list[tuple[int, str]],
    page: int,
    direction: Any,
    edges: tuple[int, int],
) -> None:
    begin, end = sorted(edges)
    with LokiClient(shared.url, tenant=f"t{next(TENANTS)}") as client:
        client.push([entry(at, str(i), s) for i, (at, s) in enumerate(entries)])
        wanted = sorted((at, str(i)) for i, (at, _) in enumerate(entries) if begin <= at < end)
        crowd = max((sum(a == at for a, _ in wanted) for at, _ in wanted), default=0)
        try:
            found = [
                (one.ts - NOW, one.line)
                for one in client.query_range(
                    ALL, NOW + begin, NOW + end, page=page, direction=direction
                )
            ]
        except LokiError:
            found = []
            wanted = [] if crowd >= page else wanted
        times = [at for at, _ in found]
        assert times == sorted(times, reverse=direction == "backward")
        assert sorted(found) == wanted


def test_a_limit_ends_the_reading(client: LokiClient, fake_loki: LokiServer) -> None:
    client.push([entry(i, str(i)) for i in range(30)])
    assert lines(client, limit=7, page=3) == [str(i) for i in range(7)]
    assert lines(client, limit=7, page=3, direction="backward") == [str(29 - i) for i in range(7)]
    assert lines(client, limit=0) == []
    asked = len(fake_loki.asked)
    assert len(lines(client, limit=7)) == 7
    assert len(fake_loki.asked) == asked + 1


def test_a_page_is_asked_for_when_it_is_wanted(client: LokiClient, fake_loki: LokiServer) -> None:
    client.push([entry(i, str(i)) for i in range(100)])
    begun = len(fake_loki.asked)
    found = client.query_range(ALL, NOW, NOW + 100, page=10)
    assert len(fake_loki.asked) == begun
    for _ in range(9):
        next(found)
    assert len(fake_loki.asked) == begun + 1


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_more_of_one_time_than_a_page_holds_is_told(direction: Any, client: LokiClient) -> None:
    client.push([entry(0, "first"), *(entry(5, str(i)) for i in range(10)), entry(9, "last")])
    with pytest.raises(LokiError, match=r"at least 4 entries have the time .*000000005Z"):
        lines(client, page=4, direction=direction)
    assert len(lines(client, page=11, direction=direction)) == 12


# The server's own limits


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_a_range_that_is_too_long_is_cut(
    direction: Any, client: LokiClient, fake_loki: LokiServer
) -> None:
    fake_loki.store.limits.max_query_length = DAY
    fake_loki.store.limits.time_sharding = True
    client.push([entry(-i * DAY // 4, str(i)) for i in range(27)])
    found = lines(client, -60 * DAY, DAY, direction=direction)
    assert sorted(map(int, found)) == list(range(27))


def test_an_empty_month_takes_a_few_requests(client: LokiClient, fake_loki: LokiServer) -> None:
    assert lines(client, -30 * DAY, 0) == []
    assert len(fake_loki.asked) <= 7


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_a_crowded_hour_is_not_asked_for_as_a_month(
    direction: Any, client: LokiClient, fake_loki: LokiServer
) -> None:
    """A full page costs Loki as much as the stretch that it is asked for is long."""
    client.push([entry(i, str(i)) for i in range(40)])
    found = lines(client, -20 * DAY, 20 * DAY, page=10, direction=direction)
    assert len(found) == 40
    stretches = [int(p["end"]) - int(p["start"]) for _, path, p in fake_loki.asked if p]
    longest = stretches.index(max(stretches))
    assert stretches[longest] > 5 * DAY
    assert stretches[longest + 1 : longest + 4] == [HOUR] * 3


def test_a_smaller_page_is_asked_for_where_the_server_wants_that(
    client: LokiClient, fake_loki: LokiServer
) -> None:
    fake_loki.store.limits.max_entries = 10
    client.push([entry(i, str(i)) for i in range(40)])
    assert lines(client) == [str(i) for i in range(40)]


def test_an_answer_that_is_too_large_is_asked_for_in_parts(
    client: LokiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_loki_http, "MAX_BODY", 10_000)
    client.push([entry(i, "x" * 900 + str(i)) for i in range(40)])
    assert [line[900:] for line in lines(client)] == [str(i) for i in range(40)]


def test_one_entry_that_is_too_large_is_told(
    client: LokiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_loki_http, "MAX_BODY", 100)
    client.push([entry(0, "x" * 900)])
    with pytest.raises(LokiError, match="more than"):
        lines(client)


# Trouble


def test_nobody_there(fake_loki: LokiServer, client: LokiClient) -> None:
    fake_loki.close()
    with pytest.raises(Unreachable, match=r"Loki at http://127.*refused"):
        lines(client)


def test_too_slow(fake_loki: LokiServer) -> None:
    fake_loki.faults.append(fake_loki.slow)
    with LokiClient(fake_loki.url, timeout=0.1) as client, pytest.raises(TimedOut, match=r"0\.1 s"):
        lines(client)


def test_an_answer_that_trickles_in_is_too_slow_as_well(
    client: LokiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = count(step=int(PATIENCE) + 1)
    monkeypatch.setattr(_loki_http, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    with pytest.raises(TimedOut):
        lines(client)


@pytest.mark.parametrize(
    ("fault", "kind", "text"),
    [
        (status(400, "parse error at line 1"), Refused, "status 400: parse error at line 1"),
        (status(401, "no org id\n"), Refused, "--tenant"),
        (status(403, "x" * 5000), Refused, "x…"),
        (status(404), Refused, "status 404"),
        (status(501, "never"), ServerFailed, "status 501: never"),
        (status(200, "<html>"), Malformed, "6 bytes that are not its JSON"),
        (status(200, "\xff"), Malformed, "not its JSON"),
        (status(200, '{"status":"success"}'), Malformed, "not its JSON"),
        (status(200, "[" * 100_000), Malformed, "not its JSON"),
        (truncated, Malformed, "not its JSON"),
        (lost, Malformed, "cannot be read"),
        (status(302, Location="http://other.test/x?token=canary-3f1c"), Malformed, "redirect"),
        (status(307, Location="//user:canary-3f1c@other.test"), Malformed, "to http://other.test,"),
        (status(304), Malformed, "redirect (304)"),
        (status(301, Location="http://a:b:c"), Malformed, "cannot be read"),
        (status(200, "no gzip at all", Content_Encoding="gzip"), Malformed, "cannot be read"),
    ],
)
def test_what_is_no_answer_is_told_at_once(
    fault: Fault,
    kind: type[LokiError],
    text: str,
    client: LokiClient,
    fake_loki: LokiServer,
    slept: list[float],
) -> None:
    fake_loki.faults += [fault, None]
    with pytest.raises(LokiError) as raised:
        lines(client)
    assert type(raised.value) is kind
    assert text in str(raised.value)
    assert CANARY not in str(raised.value)
    assert (slept, len(fake_loki.asked)) == ([], 1)


def test_a_time_that_is_no_number_is_no_answer(client: LokiClient, fake_loki: LokiServer) -> None:
    result = '{"stream":{},"values":[["soon","x"]]}'
    body = f'{{"status":"success","data":{{"resultType":"streams","result":[{result}]}}}}'
    fake_loki.faults.append(status(200, body))
    with pytest.raises(Malformed, match="no number"):
        lines(client)


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_it_is_tried_again(
    code: int, client: LokiClient, fake_loki: LokiServer, slept: list[float]
) -> None:
    client.push([entry(0, "a")])
    fake_loki.faults += [status(code, "busy")] * 4
    assert lines(client) == ["a"]
    assert slept == [0.5, 1.0, 2.0, 4.0]


def test_but_not_for_ever(client: LokiClient, fake_loki: LokiServer, slept: list[float]) -> None:
    fake_loki.faults += [status(500, "still busy")] * 5 + [None]
    with pytest.raises(ServerFailed, match="still busy"):
        lines(client)
    assert len(slept) == 4


def in_seconds(seconds: float) -> str:
    moment = datetime.fromtimestamp(time.time() + seconds, UTC)
    return format_datetime(moment, usegmt=True)


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [("7", 7, 7), (20, 0.1, 20), (-9, 0, 0), ("soon", 0.5, 0.5)],
    ids=["seconds", "a date", "a date that is past", "neither"],
)
def test_the_server_says_when(
    header: str | int,
    least: float,
    most: float,
    client: LokiClient,
    fake_loki: LokiServer,
    slept: list[float],
) -> None:
    header = header if isinstance(header, str) else in_seconds(header)
    fake_loki.faults.append(status(429, "slow down", Retry_After=header))
    assert lines(client) == []
    assert least <= slept[0] <= most


def test_who_wants_too_much_patience_is_not_waited_for(
    client: LokiClient, fake_loki: LokiServer, slept: list[float]
) -> None:
    fake_loki.faults.append(status(429, "later", Retry_After="3600"))
    with pytest.raises(Limited) as raised:
        lines(client)
    assert (raised.value.retry_after, slept) == (3600.0, [])


def test_entries_that_came_before_the_trouble_are_good(
    client: LokiClient, fake_loki: LokiServer
) -> None:
    client.push([entry(i, str(i)) for i in range(20)])
    fake_loki.faults += [None, status(400, "no")]
    found = client.query_range(ALL, NOW, NOW + 100, page=10)
    assert [next(found).line for _ in range(9)] == [str(i) for i in range(9)]
    with pytest.raises(Refused):
        next(found)


# Pushing


def test_the_reasons_of_a_partial_refusal_are_handed_on(
    client: LokiClient, fake_loki: LokiServer
) -> None:
    with pytest.raises(Refused, match="too old") as raised:
        client.push([entry(0, "good"), entry(-9 * DAY, "bad")])
    assert raised.value.status == 400
    assert "has timestamp too old" in raised.value.body
    assert fake_loki.lines() == ["good"]


@pytest.mark.parametrize(("code", "kind"), [(429, Limited), (500, ServerFailed), (400, Refused)])
def test_a_push_is_tried_once(
    code: int, kind: type[Refused], client: LokiClient, fake_loki: LokiServer, slept: list[float]
) -> None:
    fake_loki.faults.append(status(code, "no", Retry_After="2"))
    with pytest.raises(kind) as raised:
        client.push([entry(0, "a")])
    assert (raised.value.status, raised.value.retry_after, slept) == (code, 2.0, [])
    assert fake_loki.lines() == []


def test_an_answer_that_is_lost_is_not_taken_for_a_refusal(
    client: LokiClient, fake_loki: LokiServer
) -> None:
    fake_loki.faults.append(lost)
    with pytest.raises(LokiError) as raised:
        client.push([entry(0, "a")])
    assert not isinstance(raised.value, Refused)
    assert fake_loki.lines() == ["a"]


def test_nothing_to_push_is_no_error(each_client: LokiClient) -> None:
    each_client.push([])


# Values, readiness


@pytest.mark.loki
def test_a_value_of_now(loki: RealLoki) -> None:
    with LokiClient(loki.url, tenant=loki.tenant) as client:
        client.push([entry(i, str(i), "ab"[i % 2]) for i in range(5)])
        found = client.instant(f"sum by (s) (count_over_time({ALL}[5m]))", NOW + 10**9)
        assert {one.labels["s"]: one.value for one in found} == {"a": 3.0, "b": 2.0}
        assert {one.ts for one in found} == {NOW + 10**9}


def test_lines_are_no_values(each_client: LokiClient) -> None:
    with pytest.raises(Refused, match="not supported as an instant query"):
        each_client.instant(ALL, NOW)


def test_ready(each_client: LokiClient) -> None:
    assert each_client.ready() is True


def test_not_ready_yet(client: LokiClient, fake_loki: LokiServer) -> None:
    fake_loki.faults.append(status(503, "Ingester not ready"))
    assert client.ready() is False


# Who asks


def test_a_tenant_sees_its_own(shared: LokiServer) -> None:
    with (
        LokiClient(shared.url, tenant="mine") as mine,
        LokiClient(shared.url, tenant="other") as other,
    ):
        mine.push([entry(0, "a")])
        assert (lines(mine), lines(other)) == (["a"], [])


BASIC = "Basic " + base64.b64encode(f"me:{CANARY}".encode()).decode()


@pytest.mark.parametrize(
    ("header", "place", "options"),
    [
        (f"Bearer {CANARY}", "http://", {"token": CANARY}),
        (BASIC, "http://", {"username": "me", "password": CANARY}),
        (BASIC, f"http://me:{CANARY}@", {}),
    ],
)
def test_credentials_are_sent_and_never_shown(
    header: str, place: str, options: dict[str, str], fake_loki: LokiServer
) -> None:
    fake_loki.authorization = header
    with LokiClient(fake_loki.url.replace("http://", place), **options) as client:  # type: ignore[arg-type]
        assert lines(client) == []
        assert client.url == fake_loki.url
        fake_loki.faults.append(status(400, f"you sent {CANARY}"))
        with pytest.raises(Refused, match=r"you sent \[redacted\]") as raised:
            lines(client)
        for shown in (repr(client), str(raised.value), raised.value.body):
            assert CANARY not in shown


def test_wrong_credentials_are_refused(fake_loki: LokiServer) -> None:
    fake_loki.authorization = "Bearer right"
    with LokiClient(fake_loki.url, token="wrong") as client, pytest.raises(Refused) as raised:
        lines(client)
    assert raised.value.status == 401


@pytest.mark.parametrize(
    ("url", "options", "why"),
    [
        ("loki:3100", {}, "such as http://loki:3100"),
        ("", {}, "such as"),
        ("http://", {}, "such as"),
        (f"ftp://u:{CANARY}@host", {}, "such as"),
        (f"http://u:{CANARY}@host:port", {}, "such as"),
        (f"http://host/?token={CANARY}", {}, "such as"),
        ("http://host", {"username": "u", "token": CANARY}, "not both"),
        ("http://host", {"password": CANARY}, "needs a username"),
        (f"http://u:{CANARY}@host", {"token": "t"}, "given twice"),
        ("http://host", {"token": f"{CANARY}\n"}, "printable ASCII"),
        ("http://host", {"tenant": f"{CANARY} x"}, "printable ASCII"),
    ],
)
def test_what_cannot_be_used_is_told_without_showing_it(
    url: str, options: dict[str, Any], why: str
) -> None:
    with pytest.raises(ConfigError, match=why) as raised:
        LokiClient(url, **options)
    assert CANARY not in str(raised.value)


def test_a_path_before_the_api_is_kept(fake_loki: LokiServer) -> None:
    with LokiClient(f"{fake_loki.url}/gateway/") as client, pytest.raises(Refused):
        lines(client)
    assert fake_loki.asked[-1][1] == "/gateway/loki/api/v1/query_range"


def test_every_error_is_public() -> None:
    kinds: set[type] = set()
    todo: list[type] = [LokiError]
    while todo:
        kinds.add(todo[-1])
        todo += todo.pop().__subclasses__()
    assert len(kinds) == 8
    assert {kind for kind in kinds if getattr(errors, kind.__name__, None) is not kind} == set()
