from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest
import structlog
from flask import (
    Blueprint,
    Flask,
    Response,
    abort,
    copy_current_request_context,
    g,
    send_file,
    stream_with_context,
)
from support.audit_log import AuditLog
from support.waiting import PATIENCE
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import EnvironBuilder

import audit_emit
from audit_emit.context import VAR, current_context, update_request
from audit_emit.errors import ConfigError
from audit_emit.integrations.flask import AuditEmit, set_actor

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"

Body = Any


class Service:
    """A Flask application with the extension, and a server of one request driven by hand."""

    def __init__(self, log: AuditLog, **config: Any) -> None:
        self.log = log
        self.app = Flask("service")
        self.app.config.update(config)
        self.status = ""
        self.headers: list[tuple[str, str]] = []
        AuditEmit(self.app, emitter=log.emitter)

    def start(
        self, status: str, headers: list[tuple[str, str]], *_: Any
    ) -> Callable[[bytes], None]:
        self.status, self.headers = status, headers
        return lambda data: None

    def open(self, path: str = "/", method: str = "GET", **kwargs: Any) -> Body:
        """The response's iterable, untouched."""
        environ = EnvironBuilder(path=path, method=method, **kwargs).get_environ()
        return self.app.wsgi_app(environ, self.start)

    def get(self, path: str = "/", **kwargs: Any) -> bytes:
        """The response's body, read and closed as a server does."""
        opened = self.open(path, **kwargs)
        try:
            return b"".join(opened)
        finally:
            opened.close()

    def fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = self.log.only()["fields"]
        return fields

    def told(self) -> list[str]:
        return [value for name, value in self.headers if name.lower() == "x-request-id"]


@pytest.fixture
def service(audit_log: AuditLog) -> Service:
    made = Service(audit_log)

    @made.app.get("/")
    def root() -> str:
        return "hello"

    @made.app.get("/items/<int:number>")
    def item(number: int) -> str:
        return str(number)

    @made.app.get("/stream")
    def stream() -> Iterator[str]:
        def chunks() -> Iterator[str]:
            for _ in range(3):
                yield current_context().correlation_id

        return chunks()

    @made.app.get("/fail")
    def fail() -> str:
        raise ValueError("CANARY")

    return made


def test_request_is_recorded(service: Service) -> None:
    service.get("/items/5?token=CANARY")

    record = service.log.only()
    fields = record["fields"]
    assert record["event_type"] == "http.request"
    assert fields.pop("duration_ms") >= 0
    assert fields == {
        "method": "GET",
        "path": "/items/5",
        "route": "/items/<int:number>",
        "status": 200,
        "outcome": "success",
        "bytes": 1,
    }
    assert record["actor_kind"] == "anonymous"
    assert service.told() == [record["correlation_id"]]


def test_record_is_there_when_the_client_has_its_response(service: Service) -> None:
    response = service.app.test_client().get("/")

    assert response.status_code == 200
    assert service.fields()["outcome"] == "success"


def test_extension_is_set_up_in_a_factory(audit_log: AuditLog) -> None:
    audit = AuditEmit(emitter=audit_log.emitter)
    before = dict(vars(audit))
    apps = [Flask("one"), Flask("two")]
    for app in apps:
        audit.init_app(app)
        app.test_client().get("/")

    assert len(audit_log.records()) == 2
    assert all("audit_emit" in app.extensions for app in apps)
    assert vars(audit) == before


def test_extension_twice_is_told(service: Service) -> None:
    with pytest.raises(RuntimeError, match="already"):
        AuditEmit(service.app)


@pytest.mark.parametrize("value", ["-" * 100_000, "{" + "0" * 32 + "}", "a" * 8192, "\xe9", ""])
def test_malformed_request_id_is_replaced(audit_log: AuditLog, value: str) -> None:
    service = Service(audit_log, AUDIT_EMIT_TRUST_REQUEST_ID=True)
    service.get(headers={"X-Request-ID": value})

    record = audit_log.only()
    assert len(record["correlation_id"]) == 32
    assert service.told() == [record["correlation_id"]]
    assert len(record["fields"].get("client_request_id", "")) <= 128


def test_untrusted_request_id_is_evidence(service: Service) -> None:
    service.get(headers={"X-Request-ID": "theirs"})

    assert service.told() != ["theirs"]
    assert service.fields()["client_request_id"] == "theirs"


def test_repeated_request_id_is_noted(audit_log: AuditLog) -> None:
    service = Service(audit_log, AUDIT_EMIT_TRUST_REQUEST_ID=True)
    service.get(headers=[("X-Request-ID", "not one"), ("X-Request-ID", "second")])

    assert service.told() == ["second"]
    assert service.fields()["notes"] == ["dup_header"]


@pytest.mark.parametrize("outermost", [True, False])
def test_peer_is_who_connected_whatever_proxy_fix_says(
    audit_log: AuditLog, outermost: bool
) -> None:
    service = Service(
        audit_log, AUDIT_EMIT_TRUSTED_PROXIES=["10.0.0.0/8"], AUDIT_EMIT_CLIENT_IP="full"
    )
    app = service.app
    if outermost:
        app.wsgi_app = ProxyFix(app.wsgi_app)  # type: ignore[method-assign]
    else:
        audited: Any = app.wsgi_app
        audited._app = ProxyFix(audited._app)
    service.get(
        headers={"X-Forwarded-For": "198.51.100.7", "X-Request-ID": "theirs"},
        environ_base={"REMOTE_ADDR": "10.0.0.1"},
    )

    assert service.told() == ["theirs"]
    assert service.fields()["client_ip"] == "198.51.100.7"


@pytest.mark.parametrize("outermost", [True, False])
def test_client_is_who_proxy_fix_says(audit_log: AuditLog, outermost: bool) -> None:
    service = Service(audit_log, AUDIT_EMIT_CLIENT_IP="full")
    audited: Any = service.app.wsgi_app
    if outermost:
        service.app.wsgi_app = ProxyFix(audited)  # type: ignore[method-assign]
    else:
        audited._app = ProxyFix(audited._app)
    service.get(
        headers={"X-Forwarded-For": "198.51.100.7"}, environ_base={"REMOTE_ADDR": "10.0.0.1"}
    )

    assert service.fields()["client_ip"] == "198.51.100.7"


@pytest.mark.parametrize(
    ("value", "ids"),
    [(f"00-{TRACE}-{SPAN}-01", (TRACE, SPAN)), (f"ff-{TRACE}-{SPAN}-01", ("", ""))],
)
def test_traceparent(service: Service, value: str, ids: tuple[str, str]) -> None:
    service.get(headers={"traceparent": value})

    record = service.log.only()
    assert (record.get("trace_id", ""), record.get("span_id", "")) == ids


def test_own_header_of_the_application_is_kept(service: Service) -> None:
    @service.app.get("/own")
    def own() -> Response:
        return Response(headers={"x-request-id": "mine"})

    service.get("/own")

    assert service.told() == ["mine"]


def test_response_header_is_switched_off(audit_log: AuditLog) -> None:
    service = Service(audit_log, AUDIT_EMIT_RESPONSE_HEADER=None)
    service.get()

    assert service.told() == []


def test_request_records_are_switched_off(audit_log: AuditLog) -> None:
    service = Service(audit_log, AUDIT_EMIT_REQUESTS=False)
    service.get()

    assert audit_log.records() == []
    assert len(service.told()) == 1


def test_skipped_path_has_no_record(audit_log: AuditLog) -> None:
    service = Service(audit_log, AUDIT_EMIT_SKIP_PATHS=["/health", "/static/*"])
    for path in ("/health", "/static/a.css", "/other"):
        service.get(path)

    assert service.fields()["path"] == "/other"


def test_bad_configuration_is_told_at_set_up(audit_log: AuditLog) -> None:
    with pytest.raises(ConfigError, match="AUDIT_EMIT_CLIENT_IP: client_ip: must") as caught:
        Service(audit_log, AUDIT_EMIT_CLIENT_IP="all")
    assert caught.value.setting == "AUDIT_EMIT_CLIENT_IP"


def test_a_mistyped_key_is_told_at_set_up(audit_log: AuditLog) -> None:
    with pytest.raises(ConfigError, match="AUDIT_EMIT_SKIPPATHS"):
        Service(audit_log, AUDIT_EMIT_SKIPPATHS=["/health"])


def test_an_option_comes_before_the_key(audit_log: AuditLog) -> None:
    app = Flask("service")
    app.config.update(AUDIT_EMIT_REQUESTS=False, AUDIT_EMIT_USER_AGENT=True)
    AuditEmit(app, emitter=audit_log.emitter, requests=True)

    app.test_client().get("/", headers={"User-Agent": "curl/8"})

    assert audit_log.only()["fields"]["user_agent"] == "curl/8"


def test_options_of_a_factory_hold_for_its_applications(audit_log: AuditLog) -> None:
    audit = AuditEmit(emitter=audit_log.emitter, skip_paths=["/"])
    app = Flask("service")
    audit.init_app(app)

    for path in ("/", "/other"):
        app.test_client().get(path)

    assert audit_log.only()["fields"]["path"] == "/other"


@pytest.mark.parametrize("options", [{"skippaths": []}, {"client_ip": "all"}])
def test_a_bad_option_is_told_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        AuditEmit(**options)


def test_a_setting_of_the_emitter_that_nobody_reads_is_told_at_set_up() -> None:
    app = Flask("service")
    app.config.update(AUDIT_EMIT_SERVICE="billing")
    with pytest.raises(ConfigError, match=r"AUDIT_EMIT_SERVICE: does nothing in app.config"):
        AuditEmit(app)


def test_a_configuration_may_hold_the_whole_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_EMIT_SERVICE", "billing")
    monkeypatch.setenv("AUDIT_EMIT_LOKI_URL", "http://loki:3100")
    app = Flask("service")
    app.config.from_mapping(os.environ)
    AuditEmit(app)
    assert "audit_emit" in app.extensions


def test_settings_may_be_kept_where_the_emitter_was_configured_from_them(tmp_path: Path) -> None:
    app = Flask("service")
    app.config.update(AUDIT_EMIT_JSONL=str(tmp_path / "audit.jsonl"))
    audit_emit.configure(jsonl=app.config["AUDIT_EMIT_JSONL"], stdout=False)
    AuditEmit(app)
    assert "audit_emit" in app.extensions


def test_configuration_of_the_emitter_is_not_ours(audit_log: AuditLog) -> None:
    Service(audit_log, AUDIT_EMIT_SERVICE="billing", AUDIT_EMIT_HASH_KEY="x").get()

    assert len(audit_log.records()) == 1


def test_unhandled_exception_has_one_record(service: Service) -> None:
    service.get("/fail")

    fields = service.fields()
    assert service.status.startswith("500")
    assert (fields["status"], fields["outcome"], fields["error"]) == (500, "failure", "ValueError")
    assert fields["route"] == "/fail"
    assert "CANARY" not in repr(service.log.records())


def test_propagated_exception_goes_on_unchanged(service: Service) -> None:
    service.app.testing = True
    with pytest.raises(ValueError, match="CANARY"):
        service.get("/fail")

    fields = service.fields()
    assert (fields["status"], fields["outcome"], fields["error"]) == (500, "failure", "ValueError")
    assert fields["route"] == "/fail"
    assert "bytes" not in fields


def test_failing_500_handler_has_one_record(service: Service) -> None:
    @service.app.errorhandler(500)
    def handler(error: Exception) -> str:
        raise LookupError

    with pytest.raises(LookupError):
        service.get("/fail")

    assert service.fields()["error"] == "LookupError"


@pytest.mark.parametrize(
    ("status", "outcome"), [(401, "denied"), (403, "denied"), (404, "failure"), (409, "failure")]
)
def test_abort_is_a_status(service: Service, status: int, outcome: str) -> None:
    @service.app.get("/abort")
    def view() -> str:
        abort(status)

    service.get("/abort")

    fields = service.fields()
    assert (fields["status"], fields["outcome"]) == (status, outcome)
    assert "error" not in fields


def test_handled_exception_is_no_error(service: Service) -> None:
    @service.app.errorhandler(ValueError)
    def handler(error: ValueError) -> tuple[str, int]:
        return "bad", 400

    service.get("/fail")

    fields = service.fields()
    assert fields["status"] == 400
    assert "error" not in fields


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_exit_is_recorded_and_goes_on(service: Service, kind: type[BaseException]) -> None:
    @service.app.get("/exit")
    def view() -> str:
        raise kind

    with pytest.raises(kind):
        service.get("/exit")

    assert service.fields()["error"] == kind.__name__


def test_stream_sees_its_context_and_is_recorded_at_its_end(service: Service) -> None:
    opened = service.open("/stream")
    chunks = []
    for chunk in opened:
        assert service.log.records() == []
        assert VAR.get() == current_context()
        chunks.append(chunk.decode())
    opened.close()

    record = service.log.only()
    assert chunks == [record["correlation_id"]] * 3
    assert record["fields"]["outcome"] == "success"
    assert record["fields"]["bytes"] == 96
    assert record["fields"]["route"] == "/stream"


def test_stream_that_is_not_closed_is_recorded_at_its_end(service: Service) -> None:
    list(service.open("/stream"))

    assert service.fields()["outcome"] == "success"


@pytest.mark.parametrize("read", [0, 1])
def test_client_leaves_a_stream(service: Service, read: int) -> None:
    opened = service.open("/stream")
    for _ in range(read):
        next(opened)
    opened.close()
    opened.close()

    fields = service.fields()
    assert (fields["status"], fields["outcome"], fields["bytes"]) == (200, "aborted", 32 * read)


def test_client_leaves_a_response_of_known_length(service: Service) -> None:
    @service.app.get("/long")
    def long() -> Response:
        return Response(iter(["ab", "cd"]), headers={"Content-Length": "4"})

    opened = service.open("/long")
    next(opened)
    opened.close()

    assert service.fields()["outcome"] == "aborted"


def test_stream_fails(service: Service) -> None:
    @service.app.get("/torn")
    def torn() -> Iterator[str]:
        yield "a"
        raise ValueError

    with pytest.raises(ValueError):
        service.get("/torn")

    fields = service.fields()
    assert (fields["status"], fields["outcome"], fields["error"]) == (200, "failure", "ValueError")


def test_closing_a_stream_runs_in_its_context(service: Service) -> None:
    seen = []

    @service.app.get("/closing")
    def closing() -> Iterator[str]:
        def chunks() -> Iterator[str]:
            try:
                yield "a"
                yield "b"
            finally:
                seen.append(current_context().correlation_id)

        return chunks()

    opened = service.open("/closing")
    next(opened)
    opened.close()

    assert seen == [service.log.only()["correlation_id"]]


@pytest.mark.parametrize(("method", "path"), [("HEAD", "/"), ("GET", "/empty"), ("GET", "/same")])
@pytest.mark.parametrize("read", [True, False])
def test_response_without_body_is_complete(
    service: Service, method: str, path: str, read: bool
) -> None:
    service.app.add_url_rule("/empty", "empty", lambda: ("", 204))
    service.app.add_url_rule("/same", "same", lambda: ("", 304))
    opened = service.open(path, method)
    if read:
        list(opened)
    opened.close()

    fields = service.fields()
    assert (fields["outcome"], fields["bytes"]) == ("success", 0)


def test_file_is_sent_whole(service: Service) -> None:
    @service.app.get("/file")
    def file() -> Response:
        return send_file(__file__)

    sent = service.get("/file")

    assert service.fields()["bytes"] == len(sent) > 1000


def test_response_that_is_never_started(audit_log: AuditLog) -> None:
    app = Flask("service")
    app.wsgi_app = lambda environ, start_response: []  # type: ignore[method-assign]
    AuditEmit(app, emitter=audit_log.emitter)
    audited: Any = app.wsgi_app
    opened = audited(EnvironBuilder().get_environ(), None)
    opened.close()

    assert audit_log.only()["fields"]["notes"] == ["no_response"]


def test_bytes_written_the_old_way_are_counted(audit_log: AuditLog) -> None:
    def old(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])(b"abc")
        return [b"de"]

    app = Flask("service")
    app.wsgi_app = old  # type: ignore[method-assign]
    AuditEmit(app, emitter=audit_log.emitter)
    app.test_client().get("/", buffered=True)

    assert audit_log.only()["fields"]["bytes"] == 5


def test_application_mounted_in_an_audited_one_is_recorded_once(audit_log: AuditLog) -> None:
    inner, outer = Service(audit_log).app, Service(audit_log)
    audited: Any = outer.app.wsgi_app
    audited._app = DispatcherMiddleware(audited._app, {"/inner": inner.wsgi_app})
    outer.get("/inner/a")

    assert outer.fields()["path"] == "/inner/a"
    assert len(outer.told()) == 1


def test_path_outside_ascii_is_readable(service: Service) -> None:
    service.get("/caf%C3%A9")

    assert service.fields()["path"] == "/café"


def test_actor_is_never_taken_from_a_header(service: Service) -> None:
    service.get(headers={"X-User-Id": "root", "Authorization": "Bearer a.b.c"})

    assert service.log.only()["user_id"] == ""


class Login:
    """A user of Flask-Login."""

    is_authenticated = True

    def get_id(self) -> str:
        return "u-42"


def test_actor_is_the_user_that_flask_login_has_loaded(service: Service) -> None:
    @service.app.get("/login")
    def login() -> str:
        g._login_user = Login()
        service.log.emitter.emit(None, "secret.set", {})
        return "ok"

    service.get("/login")

    assert [record["user_id"] for record in service.log.records()] == ["u-42", "u-42"]


def test_a_thread_that_goes_on_after_the_request_has_the_user_that_it_loads(
    service: Service,
) -> None:
    over = threading.Event()
    threads = []

    @service.app.get("/login")
    def login() -> str:
        @copy_current_request_context
        def work() -> None:
            assert over.wait(PATIENCE)
            g._login_user = Login()
            service.log.emitter.emit(None, "secret.set", {})

        threads.append(threading.Thread(target=copy_context().run, args=(work,)))
        threads[0].start()
        return "ok"

    service.get("/login")
    over.set()
    threads[0].join()

    assert [record["user_id"] for record in service.log.records()] == ["", "u-42"]


def test_actor_of_a_stream_is_remembered(service: Service) -> None:
    @service.app.get("/login")
    def login() -> Iterator[str]:
        g._login_user = Login()
        return iter(["a", "b"])

    service.get("/login")

    assert service.log.only()["user_id"] == "u-42"


def test_actor_and_route_of_a_request_are_not_those_of_the_one_that_calls_it(
    service: Service, tmp_path: Path
) -> None:
    inner = Service(AuditLog(tmp_path / "inner.jsonl"))

    @service.app.get("/outer")
    def outer() -> str:
        g._login_user = Login()
        inner.get("/nowhere")
        return "ok"

    service.get("/outer")
    inner.log.emitter.close()

    assert inner.log.only()["user_id"] == ""
    assert "route" not in inner.fields()
    assert service.log.only()["user_id"] == "u-42"


def test_actor_and_route_of_a_request_are_not_those_of_an_open_stream(service: Service) -> None:
    @service.app.get("/kept")
    def kept() -> Response:
        g._login_user = Login()
        return Response(stream_with_context(iter(["a", "b"])))

    opened = service.open("/kept")
    next(opened)
    assert current_context().user_id == ""
    service.get("/nowhere")
    nowhere = service.log.only()
    opened.close()

    assert nowhere["user_id"] == ""
    assert "route" not in nowhere["fields"]
    assert [made["user_id"] for made in service.log.records()] == ["", "u-42"]


def test_a_request_to_the_own_application_is_of_the_same_user(service: Service) -> None:
    @service.app.get("/batch")
    def batch() -> str:
        g._login_user = Login()
        service.get("/items/5")
        return "ok"

    service.get("/batch")

    made = [(one["user_id"], one["fields"]["route"]) for one in service.log.records()]
    assert made == [("u-42", "/items/<int:number>"), ("u-42", "/batch")]


class Lazy:
    """A user that nobody has loaded: touching it asks the database."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("CANARY")


def test_user_that_cannot_be_read_does_not_reach_the_application(service: Service) -> None:
    @service.app.get("/login")
    def login() -> str:
        g._login_user = Lazy()
        return "ok"

    service.get("/login")

    assert service.log.only()["user_id"] == ""


def test_no_user_is_loaded(service: Service) -> None:
    loads = []

    class Manager:
        def _load_user(self) -> None:
            loads.append(1)

    service.app.login_manager = Manager()  # type: ignore[attr-defined]
    service.get()

    assert loads == []


def test_what_the_application_says_is_the_actor(service: Service) -> None:
    @service.app.before_request
    def authenticate() -> None:
        update_request(user_id="u1", actor_kind="admin", workspace_id="w1")

    service.get()

    record = service.log.only()
    assert (record["user_id"], record["actor_kind"], record["workspace_id"]) == (
        "u1",
        "admin",
        "w1",
    )


def test_nothing_leaks_into_the_next_request_of_a_thread(service: Service) -> None:
    seen = []

    @service.app.get("/set")
    def set_() -> Iterator[str]:
        update_request(user_id="u1")
        return iter(["a", "b"])

    @service.app.before_request
    def look() -> None:
        seen.append((current_context().user_id, structlog.contextvars.get_contextvars()))

    next(service.open("/set"))  # a server that forgets to close
    assert current_context().correlation_id == ""
    assert structlog.contextvars.get_contextvars() == {}
    service.get()

    correlation_id = service.log.only()["correlation_id"]
    assert seen[1] == ("", {"correlation_id": correlation_id, "actor_kind": "user"})


def test_stream_with_context_still_works(service: Service) -> None:
    @service.app.get("/kept")
    def kept() -> Response:
        def chunks() -> Iterator[str]:
            yield str(g.get("mark"))
            yield current_context().correlation_id

        g.mark = "m"
        return Response(stream_with_context(chunks()))

    body = service.get("/kept").decode()

    assert body == "m" + service.log.only()["correlation_id"]


def test_client_that_preserves_the_request_context_still_works(service: Service) -> None:
    from flask import request

    with service.app.test_client() as client:
        client.get("/items/5")
        assert request.path == "/items/5"

    assert service.fields()["path"] == "/items/5"


def test_two_hundred_requests_do_not_mix(service: Service) -> None:
    barrier = threading.Barrier(20, timeout=PATIENCE)

    @service.app.get("/user/<name>")
    def user(name: str) -> Iterator[str]:
        barrier.wait()
        update_request(user_id=name)
        barrier.wait()
        service.log.emitter.emit(None, "secret.set", {"user": name})

        def chunks() -> Iterator[str]:
            yield current_context().correlation_id
            barrier.wait()
            yield current_context().correlation_id

        return chunks()

    def call(number: int) -> tuple[str, str]:
        response = service.app.test_client().get(f"/user/u{number}")
        return response.headers["X-Request-ID"], response.text

    with ThreadPoolExecutor(20) as pool:
        told = dict(pool.map(call, range(200)))

    assert len(told) == 200
    assert all(text == header * 2 for header, text in told.items())
    for record in service.log.records("secret.set"):
        assert record["user_id"] == record["fields"]["user"]
    requests = service.log.records("http.request")
    assert len(requests) == 200
    for record in requests:
        assert record["fields"]["path"] == "/user/" + record["user_id"]


def test_failing_emitter_does_not_reach_the_application() -> None:
    class Failing:
        def emit(self, ctx: object, event_type: Any, fields: Any = None, /) -> object:
            raise RuntimeError

    app = Flask("service")
    AuditEmit(app, emitter=Failing())

    assert app.test_client().get("/").status_code == 404


def test_blueprint_route_has_its_prefix(service: Service) -> None:
    admin = Blueprint("admin", "admin", url_prefix="/admin")
    admin.add_url_rule("/secrets/<key>", "delete", lambda key: key)
    service.app.register_blueprint(admin)
    service.get("/admin/secrets/API")

    assert service.fields()["route"] == "/admin/secrets/<key>"


@pytest.mark.parametrize("script", ["", "/svc"])
def test_path_and_route_have_the_same_root(script: str, service: Service) -> None:
    service.get("/items/5", environ_overrides={"SCRIPT_NAME": script})

    fields = service.fields()
    assert (fields["path"], fields["route"]) == (
        f"{script}/items/5",
        f"{script}/items/<int:number>",
    )


def test_route_of_an_application_mounted_in_an_audited_one_has_its_mount(
    audit_log: AuditLog,
) -> None:
    inner, outer = Service(audit_log).app, Service(audit_log)
    inner.add_url_rule("/items/<int:number>", view_func=lambda number: f"{number}")
    audited: Any = outer.app.wsgi_app
    audited._app = DispatcherMiddleware(audited._app, {"/inner": inner.wsgi_app})
    outer.get("/inner/items/5")

    assert outer.fields()["route"] == "/inner/items/<int:number>"


def test_a_prefix_that_a_proxy_only_tells_of_is_in_neither(audit_log: AuditLog) -> None:
    service = Service(audit_log)
    audited: Any = service.app.wsgi_app
    audited._app = ProxyFix(audited._app, x_prefix=1)
    service.app.add_url_rule("/items/<int:number>", view_func=lambda number: f"{number}")
    service.get("/items/5", headers={"X-Forwarded-Prefix": "/svc"})

    fields = service.fields()
    assert (fields["path"], fields["route"]) == ("/items/5", "/items/<int:number>")


@pytest.mark.parametrize("script", ["", "/svc"])
def test_the_path_of_the_application_is_skipped(script: str, audit_log: AuditLog) -> None:
    service = Service(audit_log, AUDIT_EMIT_SKIP_PATHS=["/health"])
    service.app.add_url_rule("/health", view_func=lambda: "")
    service.get("/health", environ_overrides={"SCRIPT_NAME": script})

    assert audit_log.records() == []


def test_set_actor_holds_for_the_rest_of_the_request(service: Service) -> None:
    @service.app.before_request
    def sign_in() -> None:
        set_actor("u-17", actor_kind="admin", workspace_id="acme")

    service.get("/")

    record = service.log.only()
    assert (record["user_id"], record["actor_kind"], record["workspace_id"]) == (
        "u-17",
        "admin",
        "acme",
    )
