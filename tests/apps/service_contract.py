"""What both secrets services promise; each test module runs it on its own framework."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from secrets_store import DEMO_USERS, MAX_BODY, MAX_VALUE
from support.plain_log_reader import records
from support.waiting import PATIENCE

import audit_emit

CANARY = "CANARY-" + "v" * 24
TOKENS = {user.user_id: f"token-of-{user.user_id}" for user in DEMO_USERS}
ACME = "/workspaces/acme/secrets"


class Answer(NamedTuple):
    """One response."""

    status: int
    body: Any
    headers: dict[str, str]


Send = Callable[[str, str, bytes | None, dict[str, str]], Answer]


class Service:
    """The service under test, and what it has recorded."""

    def __init__(self, send: Send, log: Path) -> None:
        self.send = send
        self.log = log

    def ask(
        self,
        method: str,
        path: str,
        user: str | None = "dev",
        body: object = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Send one request; ``body`` is bytes as they are, or what becomes JSON."""
        raw = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **(headers or {})}
        if user is not None:
            sent["Authorization"] = f"Bearer {TOKENS.get(user, user)}"
        return self.send(method, path, raw, sent)

    def set(self, key: str, value: str, user: str = "dev", path: str = ACME) -> Answer:
        """Set or rotate a secret."""
        return self.ask("POST", path, user, {"key": key, "value": value})

    def records(self, event_type: str = "secret.*") -> list[dict[str, Any]]:
        """What is in the log: one event type, or all that begin with what stands before ``*``."""
        assert audit_emit.flush(PATIENCE)
        found = records(self.log)
        if event_type.endswith("*"):
            return [r for r in found if r["event_type"].startswith(event_type[:-1])]
        return [r for r in found if r["event_type"] == event_type]


def prefix(value: str) -> str:
    """The first eight hex digits of SHA-256."""
    return hashlib.sha256(value.encode()).hexdigest()[:8]


class ServiceContract:
    """Needs a fixture ``service``."""

    def test_a_new_secret_is_set(self, service: Service) -> None:
        answer = service.set("STRIPE_LIVE_KEY", CANARY)
        assert (answer.status, answer.body["operation"]) == (201, "set")
        (record,) = service.records()
        assert record["event_type"] == "secret.set"
        assert record["fields"] == {
            "key": "STRIPE_LIVE_KEY",
            "value_hash": prefix(CANARY),
            "scope": "workspace",
            "operation": "set",
        }
        assert record["workspace_id"] == "acme"
        assert (record["user_id"], record["actor_kind"]) == ("dev", "user")

    @pytest.mark.parametrize("method", ["POST", "PUT"])
    def test_a_known_secret_is_rotated(self, method: str, service: Service) -> None:
        service.set("K", "first")
        answer = service.ask(method, ACME, "ops", {"key": "K", "value": "second"})
        assert (answer.status, answer.body["operation"]) == (200, "rotate")
        record = service.records()[-1]
        assert record["user_id"] == "ops"
        assert record["fields"]["operation"] == "rotate"
        assert record["fields"]["value_hash"] == prefix("second")

    def test_a_deleted_secret_is_recorded_with_the_hash_of_what_went(
        self, service: Service
    ) -> None:
        service.set("K", "v")
        assert service.ask("DELETE", f"{ACME}/K").status == 200
        (record,) = service.records("secret.delete")
        assert record["fields"] == {
            "key": "K",
            "value_hash": prefix("v"),
            "scope": "workspace",
            "operation": "delete",
        }
        assert service.ask("GET", ACME).body == {"keys": []}

    def test_a_delete_that_removed_nothing_records_nothing(self, service: Service) -> None:
        assert service.ask("DELETE", f"{ACME}/NO_SUCH").status == 404
        assert service.records() == []
        assert [r["fields"]["status"] for r in service.records("http.request")] == [404]

    @pytest.mark.parametrize("path", ["/admin/secrets", "/settings/secrets"])
    def test_an_admin_changes_global_secrets(self, path: str, service: Service) -> None:
        assert service.set("K", "v", "root", path).status == 201
        assert service.ask("GET", path, "root").body == {"keys": ["K"]}
        assert service.ask("DELETE", f"{path}/K", "root").status == 200
        for record in service.records():
            assert record["fields"]["scope"] == "global"
            assert (record["user_id"], record["actor_kind"]) == ("root", "admin")
            assert record["workspace_id"] == ""
        assert len(service.records()) == 2

    def test_an_admin_may_help_in_a_workspace(self, service: Service) -> None:
        assert service.set("K", "v", "root").status == 201
        (record,) = service.records()
        assert (record["actor_kind"], record["workspace_id"]) == ("admin", "acme")

    def test_workspaces_and_scopes_do_not_mix(self, service: Service) -> None:
        service.set("A", "v")
        service.set("B", "v", "root", "/workspaces/globex/secrets")
        service.set("C", "v", "root", "/admin/secrets")
        assert service.ask("GET", ACME).body == {"keys": ["A"]}
        assert service.ask("GET", "/settings/secrets", "root").body == {"keys": ["C"]}

    @pytest.mark.parametrize(
        ("path", "user", "status", "reason", "actor"),
        [
            (ACME, None, 401, "no-token", ("", "anonymous")),
            (ACME, "", 401, "no-token", ("", "anonymous")),
            (ACME, "stolen", 401, "unknown-token", ("", "anonymous")),
            ("/workspaces/globex/secrets", "dev", 403, "not-a-member", ("dev", "user")),
            ("/admin/secrets", "dev", 403, "not-admin", ("dev", "user")),
            ("/settings/secrets", "ops", 403, "not-admin", ("ops", "user")),
        ],
    )
    @pytest.mark.parametrize("method", ["POST", "DELETE", "GET"])
    def test_a_denied_attempt_is_recorded(
        self,
        *,
        method: str,
        path: str,
        user: str | None,
        status: int,
        reason: str,
        actor: tuple[str, str],
        service: Service,
    ) -> None:
        path += "/K" if method == "DELETE" else ""
        body = {"key": "K", "value": CANARY} if method == "POST" else None
        answer = service.ask(method, path, user, body)
        assert answer.status == status
        assert answer.body["error"]
        assert ("www-authenticate" in answer.headers) == (status == 401)
        (record,) = service.records()
        assert record["event_type"] == "secret.denied"
        assert record["fields"] == {"reason": reason, "method": method, "path": path}
        assert (record["user_id"], record["actor_kind"]) == actor
        assert record["workspace_id"] == (path.split("/")[2] if "workspaces" in path else "")

    def test_another_scheme_is_no_token(self, service: Service) -> None:
        headers = {"Authorization": f"Basic {TOKENS['dev']}"}
        assert service.ask("GET", ACME, None, headers=headers).status == 401

    def test_a_header_cannot_say_who_acts(self, service: Service) -> None:
        headers = {"X-User-Id": "root", "X-Actor-Kind": "admin", "X-Workspace-Id": "globex"}
        service.ask("POST", ACME, "dev", {"key": "K", "value": "v"}, headers)
        for record in (*service.records(), *service.records("http.request")):
            assert (record["user_id"], record["actor_kind"]) == ("dev", "user")
            assert record["workspace_id"] == "acme"

    @pytest.mark.parametrize(
        ("body", "status", "reason"),
        [
            (b"", 400, "malformed-json"),
            (b'{"key":"K","value":"' + CANARY.encode(), 400, "malformed-json"),
            (b'{"key":"K","value":"\xff' + CANARY.encode() + b'"}', 400, "malformed-json"),
            (b'{"key":"K","value":"\\ud800"}', 400, "malformed-json"),
            (b"[" * 100_000, 422, "invalid-body"),
            (b'{"key":' + b"[" * 100_000, 422, "invalid-body"),
            ([CANARY], 422, "invalid-body"),
            ({"key": "K"}, 422, "invalid-body"),
            ({"key": 7, "value": CANARY}, 422, "invalid-body"),
            ({"key": "K", "value": [CANARY]}, 422, "invalid-body"),
            ({"key": "K", "value": None}, 422, "invalid-body"),
            ({"key": "K", "value": "v", CANARY: 1}, 422, "invalid-body"),
            ({"key": "K", "value": "v", "user_id": "root"}, 422, "invalid-body"),
            ({"key": "", "value": CANARY}, 422, "invalid-key"),
            ({"key": "K" * 129, "value": CANARY}, 422, "invalid-key"),
            ({"key": "K\n", "value": CANARY}, 422, "invalid-key"),
            ({"key": "K\u0130", "value": CANARY}, 422, "invalid-key"),
            ({"key": "K", "value": ""}, 422, "empty-value"),
            ({"key": "K", "value": CANARY + "x" * MAX_VALUE}, 413, "value-too-large"),
            ({"key": "K", "value": CANARY + "x" * MAX_BODY}, 413, "body-too-large"),
        ],
    )
    def test_bad_input_is_refused_and_recorded_without_its_content(
        self, body: object, status: int, reason: str, service: Service
    ) -> None:
        answer = service.ask("POST", ACME, "dev", body)
        assert answer.status == status
        assert answer.body["error"]
        (record,) = service.records()
        assert record["event_type"] == "secret.rejected"
        assert record["fields"] == {"reason": reason, "method": "POST", "path": ACME}
        assert record["user_id"] == "dev"
        assert "CANARY" not in json.dumps(answer.body)
        assert b"CANARY" not in service.log.read_bytes()
        assert service.ask("GET", ACME).body == {"keys": []}

    @pytest.mark.parametrize(
        ("method", "path", "reason"),
        [
            ("DELETE", f"{ACME}/a%20b", "invalid-key"),
            ("DELETE", f"{ACME}/%1b%5b2J", "invalid-key"),
            ("GET", "/workspaces/a%20b/secrets", "invalid-workspace"),
        ],
    )
    def test_a_bad_name_in_the_path_is_refused_and_recorded(
        self, method: str, path: str, reason: str, service: Service
    ) -> None:
        assert service.ask(method, path, "root").status == 422
        (record,) = service.records()
        assert record["event_type"] == "secret.rejected"
        assert record["fields"]["reason"] == reason

    def test_a_body_is_not_read_for_somebody_who_may_not_send_one(self, service: Service) -> None:
        assert service.ask("POST", ACME, None, b"not json").status == 401
        assert [r["event_type"] for r in service.records()] == ["secret.denied"]

    @pytest.mark.parametrize(
        ("method", "path", "status", "body"),
        [
            ("GET", "/nowhere", 404, {"error": "Not Found"}),
            ("OPTIONS", "/nowhere", 404, {"error": "Not Found"}),
            ("GET", "/health/", 404, {"error": "Not Found"}),
            ("PATCH", ACME, 405, {"error": "Method Not Allowed"}),
        ],
    )
    def test_what_the_service_does_not_have_is_a_request_and_nothing_more(
        self, *, method: str, path: str, status: int, body: Any, service: Service
    ) -> None:
        answer = service.ask(method, path)
        assert answer.status == status
        assert answer.body == body
        assert service.records() == []
        assert len(service.records("http.request")) == 1

    @pytest.mark.parametrize(("path", "status"), [("/health", 200), ("/admin/secrets", 403)])
    def test_what_can_be_read_can_be_asked_for_its_head(
        self, path: str, status: int, service: Service
    ) -> None:
        assert service.ask("HEAD", path).status == status

    @pytest.mark.parametrize(("method", "status"), [("OPTIONS", 200), ("PATCH", 405)])
    def test_all_methods_of_a_path_are_told(
        self, method: str, status: int, service: Service
    ) -> None:
        answer = service.ask(method, ACME)
        assert answer.status == status
        told = {name.strip() for name in answer.headers["allow"].split(",")}
        assert told == {"GET", "HEAD", "OPTIONS", "POST", "PUT"}

    def test_the_records_of_a_request_share_its_id(self, service: Service) -> None:
        answer = service.set("K", "v")
        ids = {r["correlation_id"] for r in service.records()}
        ids |= {r["correlation_id"] for r in service.records("http.request")}
        assert ids == {answer.headers["x-request-id"]}

    def test_a_request_leaves_nothing_to_the_next_one(self, service: Service) -> None:
        service.set("K", "v")
        service.ask("GET", "/health", None)
        record = service.records("http.request")[-1]
        assert (record["user_id"], record["workspace_id"]) == ("", "")

    def test_a_value_is_in_no_output(
        self, service: Service, capfd: pytest.CaptureFixture[str]
    ) -> None:
        audit_emit.configure(service="secrets", jsonl=str(service.log), stdout=True)
        answers = [service.set("K", CANARY), service.set("K", CANARY + "2")]
        answers += [service.ask("GET", ACME), service.ask("DELETE", f"{ACME}/K")]
        assert len(service.records()) == 3
        captured = capfd.readouterr()
        assert captured.out.count("audit: ") >= 7
        everything = captured.out + captured.err + service.log.read_text() + str(answers)
        assert "CANARY" not in everything

    def test_health_is_open_and_tells_little(self, service: Service) -> None:
        answer = service.ask("GET", "/health", None)
        assert answer.status == 200
        assert answer.body == {"status": "ok", "audit": "ok"}

    def test_concurrent_requests_keep_their_actors(self, service: Service) -> None:
        users = ["dev", "ops", "root"] * 10

        def one(number: int) -> str:
            answer = service.set(f"KEY_{number}", "v", users[number])
            assert answer.status == 201
            return str(answer.headers["x-request-id"])

        with ThreadPoolExecutor(8) as pool:
            ids = list(pool.map(one, range(len(users))))
        by_id = {r["correlation_id"]: r for r in service.records()}
        assert [by_id[i]["user_id"] for i in ids] == users
        assert [by_id[i]["fields"]["key"] for i in ids] == [f"KEY_{n}" for n in range(len(users))]
