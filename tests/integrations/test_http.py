from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable
from typing import Any

import pytest
from support import difficult_values
from support.for_each import for_each

from audit_emit._fields.normaliser import Normaliser
from audit_emit._redaction.redactor import Redactor
from audit_emit.errors import ConfigError
from audit_emit.integrations._exchange import Exchange
from audit_emit.integrations._http import (
    REQUEST_ID,
    Inbound,
    client_address,
    identify,
    new_id,
    outcome,
    parse_address,
    parse_traceparent,
    request_fields,
)
from audit_emit.integrations._options import Options

OWN = "0123456789abcdef0123456789abcdef"
TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"

HOSTILE_IDS = [
    "-" * 100_000 + OWN,
    "{urn:uuid:" + OWN + "}",
    "urn:uuid:{" + OWN,
    "a" * 129,
    "a" * 8192,
    "id with space",
    "id\n",
    "id\r\nSet-Cookie: a=b",
    "\x00id",
    "\u0661\u0662",
    "é",
    "ÿ" * 64,
    "-leading",
    ".leading",
    "id\u00a0",
    "'; drop table audit; --",
]


def asked(*values: str, peer: str = "203.0.113.9", **headers: list[str]) -> Exchange:
    read = {name.replace("_", "-"): value for name, value in headers.items()}
    return Exchange(headers={"x-request-id": list(values), **read}, peer=peer, client=peer)


def facts(options: Options, exchange: Exchange, inbound: Inbound) -> dict[str, Any]:
    return request_fields(options, exchange, inbound, Normaliser(Redactor()).scrub)


def trusting(**options: Any) -> Options:
    return Options.make({"trust_request_id": True, **options})


@pytest.mark.parametrize("value", HOSTILE_IDS)
def test_malformed_id_is_kept_as_evidence_only(value: str) -> None:
    inbound = identify(trusting(), asked(value), OWN)

    assert inbound.correlation_id == OWN
    kept = facts(trusting(), asked(value), inbound)["client_request_id"]
    assert len(kept) <= 128
    assert kept.isascii()
    assert kept.isprintable()


@pytest.mark.parametrize(
    "value", ["a", "A.b_c:d-9", "a" * 128, OWN, "1-67891233-abcdef012345678912345678"]
)
def test_trusted_well_formed_id_is_used_and_not_repeated(value: str) -> None:
    assert identify(trusting(), asked(value), OWN) == Inbound(value)


def test_id_of_an_untrusted_client_is_evidence_only() -> None:
    assert identify(Options(), asked("theirs"), OWN) == Inbound(OWN, "theirs")


@pytest.mark.parametrize("value", ["", " ", "\t", ",", " , "])
def test_empty_id_is_no_id(value: str) -> None:
    assert identify(trusting(), asked(value), OWN) == Inbound(OWN)


def test_request_without_id_gets_ours() -> None:
    assert identify(trusting(), asked(), OWN) == Inbound(OWN)


@pytest.mark.parametrize(
    ("peer", "used"),
    [
        ("10.1.2.3", "theirs"),
        ("::ffff:10.1.2.3", "theirs"),
        ("11.1.2.3", OWN),
        ("", OWN),
        ("x", OWN),
    ],
)
def test_id_is_used_when_the_peer_is_a_trusted_proxy(peer: str, used: str) -> None:
    options = Options.make({"trusted_proxies": ["10.0.0.0/8", "fd00::/8"]})

    assert identify(options, asked("theirs", peer=peer), OWN).correlation_id == used


@pytest.mark.parametrize("values", [("bad id", "good", "better"), ("bad id, good,better",)])
def test_first_valid_of_several_ids_is_used_and_noted(values: tuple[str, ...]) -> None:
    inbound = identify(trusting(), asked(*values), OWN)

    assert inbound == Inbound("good", "bad id, good, better", ("dup_header",))


def test_several_untrusted_ids_are_noted() -> None:
    assert identify(Options(), asked("a", "b"), OWN) == Inbound(OWN, "a, b", ("dup_header",))


def test_header_names_are_tried_in_their_order() -> None:
    options = trusting(request_id_headers=["X-Correlation-ID", "X-Request-ID"])
    exchange = asked("second", x_correlation_id=["first"])

    assert identify(options, exchange, OWN).correlation_id == "first"


def test_end_of_a_cut_list_of_ids_is_no_id() -> None:
    assert identify(trusting(), asked("bad id," * 200 + "good"), OWN).correlation_id == OWN


def test_traceparent_is_read() -> None:
    assert parse_traceparent([f"00-{TRACE}-{SPAN}-01"]) == (TRACE, SPAN)


def test_later_version_may_say_more() -> None:
    assert parse_traceparent([f"cc-{TRACE}-{SPAN}-01-what"]) == (TRACE, SPAN)


@pytest.mark.parametrize(
    "value",
    [
        "",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-0",
        f"00-{TRACE}-{SPAN}-011",
        f"00-{TRACE}-{SPAN}-01-extra",
        f"00-{TRACE}-{SPAN}-01-",
        f"cc-{TRACE}-{SPAN}-01extra",
        f"00-{TRACE}-{SPAN}-01\n",
        f" 00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}",
        f"00_{TRACE}_{SPAN}_01",
        f"00-{TRACE[:-1]}\u0661-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01,00-{TRACE}-{SPAN}-01",
    ],
)
def test_malformed_traceparent_is_ignored(value: str) -> None:
    assert parse_traceparent([value]) is None


def test_second_traceparent_makes_both_worthless() -> None:
    assert parse_traceparent([f"00-{TRACE}-{SPAN}-01"] * 2) is None


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("203.0.113.9:4711", "203.0.113.9"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        (" 203.0.113.9\t", "203.0.113.9"),
        ("unknown", "None"),
        ("_hidden", "None"),
        ("", "None"),
        ("testclient", "None"),
        ("/run/app.sock", "None"),
        ("203.0.113.009", "None"),
        ("1' or '1'='1", "None"),
        ("9" * 100_000, "None"),
    ],
)
def test_addresses(text: str, address: str) -> None:
    assert str(parse_address(text)) == address


@pytest.mark.parametrize(
    ("mode", "peer", "shown"),
    [
        ("full", "203.0.113.9", "203.0.113.9"),
        ("truncated", "203.0.113.9", "203.0.113.0/24"),
        ("truncated", "2001:db8:1:2::3", "2001:db8:1::/48"),
        ("off", "203.0.113.9", None),
        ("truncated", "testclient", None),
    ],
)
def test_client_address_modes(mode: str, peer: str, shown: str | None) -> None:
    assert client_address(Options.make({"client_ip": mode}), asked(peer=peer)) == shown


def behind(*hops: str, peer: str = "10.0.0.1") -> str | None:
    options = Options.make({"client_ip": "full", "trusted_proxies": ["10.0.0.0/8", "fd00::/8"]})
    return client_address(options, asked(peer=peer, x_forwarded_for=list(hops)))


@pytest.mark.parametrize(
    ("hops", "client"),
    [
        (["198.51.100.7"], "198.51.100.7"),
        (["6.6.6.6, 198.51.100.7"], "198.51.100.7"),
        (["6.6.6.6", "198.51.100.7"], "198.51.100.7"),
        (["6.6.6.6, 198.51.100.7, 10.2.2.2"], "198.51.100.7"),
        (["198.51.100.7, fd00::1%eth0, [fd00::2]:8080"], "198.51.100.7"),
        (["198.51.100.7, unknown, 10.2.2.2"], "10.2.2.2"),
        (["6.6.6.6, 1' or '1'='1"], "10.0.0.1"),
        ([""], "10.0.0.1"),
        ([], "10.0.0.1"),
        ([", ".join(["6.6.6.6"] * 1000) + ", 198.51.100.7"], "198.51.100.7"),
    ],
)
def test_forwarded_for_is_read_from_the_right(hops: list[str], client: str) -> None:
    assert behind(*hops) == client


def test_thousand_trusted_hops_do_not_reach_the_forged_one() -> None:
    assert behind("6.6.6.6, " + ", ".join(["10.2.2.2"] * 1000)) == "10.2.2.2"


def test_cut_address_does_not_pass_for_another() -> None:
    trusted = ("," + "fd00::1".rjust(200)) * 20
    read = 4096 - len(trusted)

    assert behind("20" + "3.0.113.9".ljust(read) + trusted) == "fd00::1"


def test_forwarded_for_of_a_stranger_is_ignored() -> None:
    assert behind("198.51.100.7", peer="203.0.113.9") == "203.0.113.9"


class Cancelled(BaseException):
    """Trio's, as far as one can tell without importing it."""


def http(**facts: Any) -> Exchange:
    return Exchange(**{"complete": True, "status": 200, **facts})


@for_each(
    "exchange, said",
    [
        (http(), "success"),
        (http(status=304), "success"),
        (http(status=401), "denied"),
        (http(status=403), "denied"),
        (http(status=404), "failure"),
        (http(status=503), "failure"),
        (http(error=ValueError), "failure"),
        (http(error=asyncio.CancelledError), "cancelled"),
        (http(error=Cancelled), "cancelled"),
        (http(error=KeyboardInterrupt), "failure"),
        (http(disconnected=True), "aborted"),
        (http(disconnected=True, status=500, error=OSError), "aborted"),
        (http(disconnected=True, complete=False), "aborted"),
        (http(disconnected=True, complete=False, error=OSError), "aborted"),
        (http(disconnected=True, complete=False, error=asyncio.CancelledError), "cancelled"),
        (http(complete=False), "aborted"),
        (http(complete=False, status=None), "failure"),
        (http(complete=False, status=None, disconnected=True), "aborted"),
        (http(kind="websocket", status=101, code=1000), "success"),
        (http(kind="websocket", status=101, code=1001, disconnected=True), "success"),
        (http(kind="websocket", status=101, code=1006, disconnected=True), "aborted"),
        (http(kind="websocket", status=101, code=1008), "denied"),
        (http(kind="websocket", status=101, code=1011), "failure"),
        (http(kind="websocket", status=101), "success"),
        (http(kind="websocket", status=403), "denied"),
        (http(kind="websocket", status=404), "failure"),
        (http(kind="websocket", status=None, complete=False, disconnected=True), "aborted"),
        (http(kind="websocket", status=None, complete=False), "failure"),
    ],
)
def test_outcome(exchange: Exchange, said: str) -> None:
    assert outcome(exchange) == said


def test_fields_of_a_request() -> None:
    exchange = http(
        method="PUT",
        path="/workspaces/w/secrets",
        route="/workspaces/{id}/secrets",
        client="203.0.113.9",
        started=10.0,
        ended=10.0125,
        sent=17,
    )

    assert facts(Options(), exchange, Inbound(OWN)) == {
        "method": "PUT",
        "path": "/workspaces/w/secrets",
        "route": "/workspaces/{id}/secrets",
        "status": 200,
        "outcome": "success",
        "duration_ms": 12.5,
        "bytes": 17,
        "client_ip": "203.0.113.0/24",
    }


def test_fields_of_a_websocket() -> None:
    exchange = http(kind="websocket", path="/ws", status=101, code=1000, messages_in=2)

    assert facts(Options(), exchange, Inbound(OWN)) == {
        "path": "/ws",
        "status": 101,
        "outcome": "success",
        "duration_ms": 0.0,
        "code": 1000,
        "messages_in": 2,
        "messages_out": 0,
    }


def test_exception_is_recorded_by_its_type_only() -> None:
    fields = facts(Options(), http(error=KeyError), Inbound(OWN))

    assert fields["error"] == "KeyError"


def test_exception_whose_type_answers_nothing_is_recorded_too() -> None:
    class CancelledError(BaseException, metaclass=difficult_values.BadMeta):
        pass

    fields = facts(Options(), http(error=CancelledError), Inbound(OWN))

    assert (fields["outcome"], fields["error"]) == ("cancelled", "CancelledError")


def test_missing_response_is_noted() -> None:
    fields = facts(Options(), http(status=None, complete=False), Inbound(OWN))

    assert "status" not in fields
    assert fields["notes"] == ["no_response"]


def test_user_agent_is_recorded_only_when_asked_for() -> None:
    exchange = http(headers={"user-agent": ["curl/8\x1b[2J" + "x" * 1000]})

    assert "user_agent" not in facts(Options(), exchange, Inbound(OWN))
    shown = facts(Options(user_agent=True), exchange, Inbound(OWN))["user_agent"]
    assert shown.startswith("curl/8?[2J")
    assert len(shown) == 256


def test_long_path_is_cut_between_segments() -> None:
    token = "x" * 600
    fields = facts(Options(), http(path=f"/reset/{token}/{token}/end"), Inbound(OWN))

    assert fields["path"] == f"/reset/{token}/…"


def test_long_path_without_segments_shows_nothing_of_it() -> None:
    assert facts(Options(), http(path="/" + "x" * 5000), Inbound(OWN))["path"] == "/…"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("client_ip", "some"),
        ("trusted_proxies", ["10.0.0.1/8"]),
        ("trusted_proxies", ["nowhere"]),
        ("trusted_proxies", 8),
        ("request_id_headers", ["X Request"]),
        ("request_id_headers", [""]),
        ("response_header", "X-Request-ID\r\nSet-Cookie: a"),
        ("response_header", 1),
        ("skip_paths", [1]),
        ("skip_paths", [re.compile(b"/x")]),
        ("requests", "no"),
        ("requests", difficult_values.Nameless()),
        ("trust_request_id", None),
        ("request_record", True),
    ],
)
def test_bad_option_is_told_by_name(name: str, value: object) -> None:
    with pytest.raises(ConfigError) as caught:
        Options.make({name: value})

    assert caught.value.setting == name


def raising(path: str) -> bool:
    raise RuntimeError(path)


@pytest.mark.parametrize(
    ("skip", "path", "skipped"),
    [
        (["/health"], "/health", True),
        (["/health"], "/healthy", False),
        (["/static/*"], "/static/a.css", True),
        (["/static/*"], "/static", False),
        ("/health", "/health", True),
        ([], "/", False),
        ([re.compile(r"/items/\d+/health")], "/items/7/health", True),
        ([re.compile(r"/items/\d+"), "/x"], "/items/7/health", False),
        ([re.compile(r"/items/\d+"), "/x"], "/x", True),
        (lambda path: path.endswith(".css"), "/a.css", True),
        (raising, "/a.css", False),
    ],
)
def test_skip_paths(
    skip: list[str | re.Pattern[str]] | Callable[[str], bool], path: str, skipped: bool
) -> None:
    assert Options.make({"skip_paths": skip}).skips(path) is skipped


@pytest.mark.parametrize("off", [None, ""])
def test_response_header_can_be_switched_off(off: str | None) -> None:
    assert Options.make({"response_header": off}).response_header is None


def test_pattern_of_an_id_is_the_documented_one() -> None:
    assert REQUEST_ID.pattern == "[A-Za-z0-9][A-Za-z0-9._:-]{0,127}"


LONG_URL = f"{'x' * 90} https://bob:hunter2{'z' * 40}@host/"


def test_a_secret_across_the_cut_of_an_id_is_held_back() -> None:
    exchange = asked(LONG_URL)
    sent = facts(Options(), exchange, identify(Options(), exchange, OWN))["client_request_id"]
    assert "hunter2" not in sent
    assert len(sent) <= 128


def test_a_secret_across_the_cut_of_a_user_agent_is_held_back() -> None:
    exchange = asked(user_agent=["y" * 110 + LONG_URL])
    assert "hunter2" not in facts(Options(user_agent=True), exchange, Inbound(OWN))["user_agent"]


def test_a_secret_across_the_cut_of_a_path_is_held_back() -> None:
    path = f"/x/https://bob:hunter2{'z' * 400}/{'a/' * 400}"[:1100] + "@host/"
    assert "hunter2" not in facts(Options(), http(path=path), Inbound(OWN))["path"]


def test_a_forked_child_repeats_no_id_of_its_parent() -> None:
    new_id()  # others were drawn with it
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.write(writer, "".join(new_id() for _ in range(50)).encode())
        os._exit(0)
    own = {new_id() for _ in range(50)}
    os.waitpid(child, 0)
    told = os.read(reader, 65536).decode()
    theirs = {told[at : at + 32] for at in range(0, len(told), 32)}
    os.close(reader)
    os.close(writer)
    assert (len(own), len(theirs)) == (50, 50)
    assert not own & theirs
