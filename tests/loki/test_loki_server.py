"""The small Loki of the tests behaves as the real one does: the same facts, asked of both."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from support.fake_loki import Asked, LokiServer
from support.fake_loki_store import DAY, HOUR, SECOND, Limits
from support.logql_evaluator import LogQLError, parse
from support.waiting import PATIENCE

PUSH = "/loki/api/v1/push"
RANGE = "/loki/api/v1/query_range"
LINES = [
    r'{"f":{"k":"plain","n":1.10,"b":true,"z":null,"a":["x","y\"q",1],"o":{"p":"q"},"e":""}}',
    r'{"f":{"k":"line\nbreak","n":1e3,"b":false,"a":[],"o":{}}}',
    r'{"f":{"k":"quote\"back\\slash`tick","n":18446744073709551616}}',
    r'{"f":{"k":"half\ud800"}}',
    '{"f":{"k":"no\ufffdchar"}}',
    r'{"f":{"k":"nul\u0000tab\t"}}',
    '{"f":{"k":"é🔑"}}',
    r'{"f":{"k":"\u00e9\ud83d\udd11"}}',
    r'{"f":{"a.b":"dotted","a-b":"dash","é":"accent","b\\s":"back"},"k":"top"}',
    r'{"f":["first",{"k":"second"}]}',
    "not json",
    r'{"f":{"k":"torn"',
    '{"f" : { "k" : "spaced" } }',
    r'{"f":{"k":"first","k":"second"}}',
    r'{"f":{"\u006b":"escaped"}}',
    r'{"f":{"k":{"k":"deep"}}}',
]


class Talk:
    """Raw requests to a Loki."""

    def __init__(self, asked: Asked) -> None:
        self.now = time.time_ns()
        self._client = httpx.Client(
            base_url=asked.url,
            headers={"X-Scope-OrgID": asked.tenant},
            timeout=PATIENCE,
            verify=False,  # plain HTTP; reading the certificates of the machine takes its time
        )

    def close(self) -> None:
        self._client.close()

    def push(self, values: list[Any], **labels: str) -> httpx.Response:
        """Lines, or values with a time in nanoseconds from now."""
        made = [
            [str(self.now + i), value]
            if isinstance(value, str)
            else [str(self.now + value[0]), *value[1:]]
            for i, value in enumerate(values)
        ]
        return self._client.post(
            PUSH, json={"streams": [{"stream": labels or {"job": "audit"}, "values": made}]}
        )

    def get(self, query: str = '{job="audit"}', **parameters: Any) -> httpx.Response:
        day: dict[str, Any] = {"start": self.now - DAY, "end": self.now + DAY}
        headers = {"X-Loki-Response-Encoding-Flags": "categorize-labels"}
        return self._client.get(
            RANGE,
            params={"query": query, **day, "limit": 100, "direction": "forward", **parameters},
            headers=headers,
        )

    def streams(self, query: str = '{job="audit"}', **parameters: Any) -> list[Any]:
        answer = self.get(query, **parameters)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["data"]["result"])

    def found(self, query: str = '{job="audit"}', **parameters: Any) -> list[Any]:
        """The values, in order of time where the streams are several."""
        streams = self.streams(query, **parameters)
        return sorted((value for each in streams for value in each["values"]), key=lambda v: v[0])

    def lines(self, query: str = '{job="audit"}', **parameters: Any) -> list[str]:
        return [value[1] for value in self.found(query, **parameters)]

    def parsed(self, query: str, name: str) -> list[str]:
        """The label that a query makes of each of ``LINES``."""
        return [value[2].get("parsed", {}).get(name, "") for value in self.found(query)]


@pytest.fixture
def talk(each_loki: Asked) -> Iterator[Talk]:
    made = Talk(each_loki)
    yield made
    made.close()


@pytest.fixture
def small(fake_loki: LokiServer) -> Iterator[Talk]:
    """With Loki's defaults."""
    made = Talk(Asked(fake_loki.url, "nobody"))
    yield made
    made.close()


# Taking in


def test_good_entries_are_answered_with_204(talk: Talk) -> None:
    answer = talk.push(["a", "b"])
    assert (answer.status_code, answer.text) == (204, "")
    assert talk.lines() == ["a", "b"]


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ([0, "x" * (256 * 1024 + 1)], "max entry size '262144' bytes exceeded"),
        ([11 * 60 * SECOND, "x"], "has timestamp too new"),
        ([-400 * DAY, "x"], "has timestamp too old"),
        ([0, "x", {"m": "y" * 66_000}], "has structured metadata too large"),
        ([0, "x", {f"m{i}": "y" for i in range(129)}], "has too many structured metadata labels"),
    ],
)
def test_a_bad_entry_is_skipped_and_told(bad: list[Any], why: str, talk: Talk) -> None:
    answer = talk.push([[0, "good"], bad, [1, "as well"]])
    assert answer.status_code == 400
    assert why in answer.text
    assert talk.lines() == ["good", "as well"]


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        ({"job": "audit", **{f"l{i}": "v" for i in range(15)}}, "has 16 label names; limit 15"),
        ({"job": "audit", "l": "v" * 2049}, "has label value too long"),
        ({"job": "audit", "l" * 1025: "v"}, "has label name too long"),
    ],
)
def test_a_stream_with_bad_labels_is_refused(labels: dict[str, str], why: str, talk: Talk) -> None:
    answer = talk.push(["a"], **labels)
    assert answer.status_code == 400
    assert why in answer.text
    assert talk.lines() == []


def test_names_of_labels_are_checked_before_anything_is_kept(talk: Talk) -> None:
    assert talk.push(["a"], **{"job": "audit", "1bad": "v"}).status_code == 400
    assert talk.lines() == []


@pytest.mark.parametrize("metadata", [{"m": 1}, {"m": {"n": "o"}}])
def test_metadata_that_is_no_text_refuses_all(metadata: Any, talk: Talk) -> None:
    assert talk.push([[0, "good"], [1, "bad", metadata]]).status_code == 400
    assert talk.lines() == []


def test_names_of_metadata_are_made_fit_and_empty_values_dropped(talk: Talk) -> None:
    assert talk.push([[0, "a", {"a.b-c": "1", "e": ""}]]).status_code == 204
    assert talk.found()[0][2] == {"structuredMetadata": {"a_b_c": "1"}}


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"streams":[{"stream":{"job":"a"},"values":[["x","y"]]}]}']
)
def test_what_is_no_push_is_refused(body: bytes, each_loki: Asked) -> None:
    headers = {"X-Scope-OrgID": each_loki.tenant, "Content-Type": "application/json"}
    answer = httpx.post(each_loki.url + PUSH, content=body, headers=headers)
    assert answer.status_code == 400


def test_the_same_entry_again_is_kept_once(talk: Talk) -> None:
    """The same stream, time, line and metadata; a difference in one of them is another entry."""
    assert talk.push([[0, "a"], [0, "b"]]).status_code == 204
    assert talk.push([[0, "a"], [1, "a"], [0, "a", {"m": "1"}]]).status_code == 204
    assert sorted(talk.lines()) == ["a", "a", "a", "b"]


def test_nothing_to_push_is_refused(each_loki: Asked) -> None:
    headers = {"X-Scope-OrgID": each_loki.tenant}
    answer = httpx.post(each_loki.url + PUSH, json={"streams": []}, headers=headers)
    assert answer.status_code == 422
    assert "at least one valid stream is required" in answer.text


def test_a_late_entry_is_kept_with_time_sharding(talk: Talk) -> None:
    assert talk.push(["new"]).status_code == 204
    assert talk.push([[-20 * DAY, "old"]]).status_code == 204
    assert talk.lines(start=talk.now - 21 * DAY) == ["old", "new"]


def test_without_it_an_entry_an_hour_behind_its_stream_is_refused(small: Talk) -> None:
    assert small.push(["new"]).status_code == 204
    answer = small.push([[-HOUR - 60 * SECOND, "late"], [-HOUR + 60 * SECOND, "not late"]])
    assert answer.status_code == 400
    assert "too far behind" in answer.text
    assert small.lines() == ["not late", "new"]
    assert small.push([[-2 * HOUR, "other stream"]], job="audit", s="1").status_code == 204


def test_by_default_what_is_older_than_a_week_is_refused(small: Talk) -> None:
    answer = small.push([[-8 * DAY, "old"]])
    assert answer.status_code == 400
    assert "has timestamp too old" in answer.text


def test_more_than_a_tenant_may_send_refuses_all(small: Talk) -> None:
    answer = small.push([f"{i}{'x' * 200_000}" for i in range(35)])
    assert answer.status_code == 429
    assert "ingestion rate limit exceeded" in answer.text
    assert small.lines() == []


def test_more_than_a_stream_may_get_keeps_a_part(fake_loki: LokiServer, small: Talk) -> None:
    fake_loki.store.limits.per_stream_burst = 10
    assert small.push(["12345", "12345", "12345"]).status_code == 429
    assert small.lines() == ["12345", "12345"]


# Answering


def test_the_start_is_included_and_the_end_is_not(talk: Talk) -> None:
    talk.push(["0", "1", "2", "3"])
    assert talk.lines(start=talk.now + 1, end=talk.now + 3) == ["1", "2"]
    assert talk.lines(start=talk.now + 1, end=talk.now + 1) == []


@pytest.mark.parametrize(("direction", "kept"), [("forward", "01"), ("backward", "23")])
def test_a_limit_keeps_the_end_that_it_begins_with(direction: str, kept: str, talk: Talk) -> None:
    talk.push([[1, "1"], [3, "3"]], job="audit", s="b")
    talk.push([[0, "0"], [2, "2"]], job="audit", s="a")
    found = talk.streams(direction=direction, limit=2)
    assert sorted(value[1] for each in found for value in each["values"]) == list(kept)[:2]


def test_streams_are_grouped_and_in_the_order_that_was_asked_for(talk: Talk) -> None:
    talk.push([[0, "a0"], [1, "a1"]], job="audit", s="a")
    talk.push([[0, "b0"]], job="audit", s="b")
    found = {each["stream"]["s"]: each["values"] for each in talk.streams(direction="backward")}
    assert [value[1] for value in found["a"]] == ["a1", "a0"]
    assert [value[1] for value in found["b"]] == ["b0"]


@pytest.mark.parametrize(
    ("parameters", "why"),
    [
        ({"limit": 10_001}, "max entries limit per query exceeded"),
        ({"start": 0}, "the query time range exceeds the limit"),
        ({"end": 1}, "end timestamp must not be before"),
        ({"query": '{job="audit"'}, "parse error"),
        ({"query": '{job=~".*"}'}, "at least one regexp or equality matcher"),
        ({"query": '{job="audit"} | json a="b" | a=~"("'}, "parse error"),
    ],
)
def test_what_is_asked_too_much_is_refused(
    parameters: dict[str, Any], why: str, talk: Talk
) -> None:
    answer = talk.get(**parameters)
    assert answer.status_code == 400
    assert why in answer.text


def test_by_default_a_month_and_5000_entries_are_the_most(small: Talk) -> None:
    assert small.get(start=small.now - 31 * DAY, end=small.now).status_code == 400
    assert small.get(start=small.now - 30 * DAY, end=small.now).status_code == 200
    assert small.get(limit=5001).status_code == 400
    assert small.get(limit=5000).status_code == 200


def test_a_tenant_must_be_named_and_sees_its_own(each_loki: Asked) -> None:
    assert httpx.get(each_loki.url + RANGE, params={"query": '{job="a"}'}).status_code == 401
    mine, other = Talk(each_loki), Talk(Asked(each_loki.url, each_loki.tenant + "-other"))
    mine.push(["mine"])
    assert (mine.lines(), other.lines()) == (["mine"], [])
    mine.close()
    other.close()


def test_others_than_who_may_are_refused(fake_loki: LokiServer) -> None:
    fake_loki.authorization = "Bearer right"
    assert httpx.get(fake_loki.url + "/ready").status_code == 401
    headers = {"Authorization": "Bearer right"}
    assert httpx.get(fake_loki.url + "/ready", headers=headers).status_code == 200


# LogQL

PARSED = [
    (
        "f.k",
        [
            *("plain", "line\nbreak", 'quote"back\\slash`tick', "", "no char", "nul\0tab\t"),
            *("é🔑", "é🔑", "", "", "", "torn", "spaced", "first", "escaped", '{"k":"deep"}'),
        ],
    ),
    ("f.n", ["1.10", "1e3", "18446744073709551616"]),
    ("f.b", ["true", "false"]),
    ("f.z", []),
    ("f.a", ['["x","y"q",1]', "[]"]),
    ("f.a[1]", ['y"q']),
    ("f.o", ['{"p":"q"}', "{}"]),
    ("f.o.p", ["q"]),
    ("f.e", []),
    ('f["a.b"]', [*[""] * 8, "dotted"]),
    ('f["a-b"]', [*[""] * 8, "dash"]),
    ('["f"]["é"]', [*[""] * 8, "accent"]),
    ('f["b\\s"]', [*[""] * 8, "back"]),
    ("k", [*[""] * 8, "top"]),
    ("f[0]", [*[""] * 9, "first"]),
    ("f[1].k", [*[""] * 9, "second"]),
    ("f.k.k", [*[""] * 15, "deep"]),
]


@pytest.mark.parametrize(("expression", "values"), PARSED)
def test_what_an_expression_makes_of_a_value(
    expression: str, values: list[str], talk: Talk
) -> None:
    talk.push(LINES)
    text = expression.replace("\\", "\\\\").replace('"', '\\"')
    found = talk.parsed(f'{{job="audit"}} | json v="{text}"', "v")
    assert found == [*values, *[""] * (len(LINES) - len(values))]


@pytest.mark.parametrize("expression", ["f.a-b", 'f["q\\"t"]', "é", 'f["c]d"]', "f.0", "", "f..k"])
def test_an_expression_that_cannot_be_read_finds_nothing(expression: str, talk: Talk) -> None:
    talk.push(LINES)
    text = expression.replace("\\", "\\\\").replace('"', '\\"')
    assert talk.lines(f'{{job="audit"}} | json v="{text}"') == []


K = '{job="audit"} | json k="f.k", n="f.n"'


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ('{job="audit"} |= "plain"', [0]),
        ('{job="audit"} |= "plain" or "torn"', [0, 11]),
        ('{job="audit"} |= "k" != "f" or "top"', []),
        (r'{job="audit"} |= "plain" or "\\u00" |= "{"', [0, 5, 7, 14]),
        ('{job="audit"} |~ "pl.in|t.rn"', [0, 11]),
        ('{job="audit"} !~ "k"', [10, 14]),
        ('{job="audit"} |= `"k":"é`', [6]),
        ("# a question\n" + '{job="audit"} # so\n |= "plain"', [0]),
        (K + ' | __error__!=""', [10]),
        (K + ' | __error__="" | k=""', [3, 8, 9]),
        (K + r' | k="line\nbreak"', [1]),
        (K + ' | k=~"line.break"', []),
        (K + ' | k=~"(?s)line.break"', [1]),
        (K + r' | k="quote\"back\\slash`tick"', [2]),
        (K + r' | k="nul\x00tab\t"', [5]),
        (K + r' | k="nul\u0000tab\u0009"', [5]),
        (K + ' | k="é🔑"', [6, 7]),
        (K + ' | k="no\ufffdchar"', []),
        (K + ' | k="no char"', [4]),
        (K + ' | k="plain" or k="torn"', [0, 11]),
        (K + ' | k=~"pla[hi]n|to.*" and (n="1.10" or n="")', [0, 11]),
        (K + ' | k=~"PLAIN"', []),
        (K + ' | k=~"(?i)PLAIN", n="1.10"', [0]),
        (K + ' | n=1.1 | __error__=""', [0]),
        (K + ' | n>=1000 | __error__=""', [1, 2]),
        (K + ' | n<1000 | __error__="LabelFilterErr" | k="plain"', []),
        ('{job="audit"} | json p="f.k.k" | json k="f.k" | p="deep" | k!=""', [15]),
        ('{job="audit"} | json job="f.k" | job="audit" | job_extracted="plain"', [0]),
        ('{job=~"aud.t", other=""} |= "plain"', [0]),
        ('{job!="audit", x=~".+"}', []),
    ],
)
def test_which_lines_a_query_finds(query: str, numbers: list[int], talk: Talk) -> None:
    talk.push(LINES)
    assert [LINES.index(line) for line in talk.lines(query)] == numbers


@pytest.mark.parametrize("text", ['{job="a"} | line_format "x"', 'rate({job="a"}[5m])', "", "{}"])
def test_what_it_does_not_know_is_refused_not_guessed(text: str) -> None:
    with pytest.raises(LogQLError):
        parse(text)


def test_limits_are_those_of_loki_by_default() -> None:
    assert Limits().max_query_length == 30 * DAY + HOUR
