"""``audit-emit console``: show a log in a browser, and whether it verifies."""

from __future__ import annotations

import getpass
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audit_emit import Emitter
from audit_emit._facade.loki import PREFIX
from audit_emit._facade.text import visible
from audit_emit.cli._command import command as a_command
from audit_emit.cli._exit import Exit
from audit_emit.cli._keys import pinned_keys
from audit_emit.cli._logs import grouped, logs_argument, named, one_of
from audit_emit.cli._sign_in import sign_in_options
from audit_emit.cli._standing import CONSOLE
from audit_emit.errors import ConfigError
from audit_emit.log import open_log

if TYPE_CHECKING:
    from audit_emit.console import Access
else:
    Access = Any

PORT = 8555
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}


def _hashed(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    """Print the hash of a password, and end."""
    if not wanted or context.resilient_parsing:
        return
    from audit_emit.console import hash_password  # noqa: PLC0415 - an extra

    password = _asked_password()
    if not password:
        raise click.UsageError("no password was given: it would let in whoever gives none")
    click.echo(hash_password(password))
    context.exit()


@a_command(
    "console",
    {
        Exit.OK: "ended by a signal",
        Exit.USAGE: "",
        Exit.NOTHING: "there is no log",
        Exit.NO_ANSWER: "the database does not answer",
    },
    [
        "audit-emit console /var/log/audit-emit/shop --key shop-verifier.txt",
        "audit-emit console --users users.toml --bind 0.0.0.0 --certfile tls.pem --keyfile tls.key",
        "audit-emit console /var/log/audit-emit/shop s3://acme-audit/prod",
        "audit-emit console --loki http://loki:3100 --tenant prod",
        "audit-emit console --hash-password",
    ],
)
@logs_argument
@click.option(
    "--loki",
    metavar="URL",
    help="Show the records that a Loki has, instead of a LOG; they are not verified. Credentials "
    "come from the environment.",
)
@click.option("--tenant", envvar=f"{PREFIX}TENANT", metavar="NAME", help="The X-Scope-OrgID there.")
@pinned_keys
@click.option("--bind", default="127.0.0.1", show_default=True, metavar="ADDRESS")
@click.option("--port", default=PORT, show_default=True, type=click.IntRange(0, 65535))
@click.option(
    "--users",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file of users (TOML). Without it only requests from this machine are answered.",
)
@click.option(
    "--proxy-header",
    metavar="NAME",
    help="The header in which a trusted proxy names the user, instead of a password. The secret of "
    "the proxy is AUDIT_EMIT_CONSOLE_PROXY_SECRET.",
)
@sign_in_options
@click.option(
    "--signing-key",
    "signing_keys",
    multiple=True,
    metavar="KEY",
    help="The key for checkpoints that an operator asks for.  [default: as configured in the "
    "environment]",
)
@click.option("--grafana", metavar="URL", default="", help="Grafana, for links by trace id.")
@click.option("--certfile", type=click.Path(exists=True, dir_okay=False), help="TLS: certificate.")
@click.option("--keyfile", type=click.Path(exists=True, dir_okay=False), help="TLS: its key.")
@click.option(
    "--hash-password",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_hashed,
    help="Ask for a password, print its hash, and end.",
)
def command(
    logs: tuple[str, ...],
    loki: str | None,
    tenant: str | None,
    keys: tuple[str, ...],
    bind: str,
    port: int,
    users: Path | None,
    proxy_header: str | None,
    provider: Mapping[str, str] | None,
    signing_keys: tuple[str, ...],
    grafana: str,
    certfile: str | None,
    keyfile: str | None,
) -> Exit:
    """Serve the console of one LOG, and print its address.

    LOG is a log's directory, or postgresql://… of one chain, or s3://… of one that is archived;
    without it, the log that this environment configures. A directory and its archive (s3://…) are
    shown as one log. Without --users it listens on this machine only.

    What users look at, export and verify is recorded in another log, the one that the environment
    configures for the service audit-console.
    """
    import jinja2  # noqa: F401, PLC0415 - an extra
    import starlette  # noqa: F401, PLC0415 - of the same extra

    from audit_emit import console  # noqa: PLC0415 - it needs them

    _check(bind, users, proxy_header, provider, certfile, keyfile)
    log, archive = ("", "") if loki and not logs else _shown(logs, keys)
    emitter = _own_emitter(log)
    try:
        application = console.app(
            log,
            loki=loki or "",
            tenant=tenant,
            keys=keys,
            archive=archive,
            access=_access(users, proxy_header, provider),
            emitter=emitter,
            signing_keys=signing_keys,
            grafana=grafana.rstrip("/"),
        )
        _serve(application, bind, port, certfile, keyfile)
    except ConfigError as error:
        raise click.UsageError(visible(str(error))) from None
    finally:
        emitter.close()
    return Exit.OK


def _shown(logs: tuple[str, ...], keys: tuple[str, ...]) -> tuple[str, str]:
    """The log, and where older segments of it are.

    Raises:
        UsageError: several were named.
        OSError, AuditEmitError: it cannot be read, which is said now, and not on each page.
    """
    ((log, *archives),) = grouped([one_of(logs)]) if len(logs) < 2 else grouped(logs)[:1]
    if len(grouped(logs)) > 1 or len(archives) > 1:
        raise click.UsageError("this is about one LOG, and one s3://… beside it")
    found, archive = named([log])[0], archives[0] if archives else ""
    open_log(found, keys=keys, archive=archive).head()
    return found, archive


def _check(
    bind: str,
    users: Path | None,
    proxy_header: str | None,
    provider: Mapping[str, str] | None,
    certfile: str | None,
    keyfile: str | None,
) -> None:
    """Check the options against each other.

    Raises:
        UsageError: anybody could read the log, or options contradict each other.
    """
    if users is None and bind not in _LOOPBACK:
        raise click.UsageError(f"--bind {bind} is not this machine only; that needs --users")
    if (proxy_header or provider) and users is None:
        word = "--proxy-header names" if proxy_header else "--oidc signs in"
        raise click.UsageError(f"{word} users of --users; give that file")
    if bool(certfile) != bool(keyfile):
        raise click.UsageError("--certfile and --keyfile belong together")


def _access(
    users: Path | None, proxy_header: str | None, provider: Mapping[str, str] | None
) -> Access | None:
    """Who is let in; ``None`` without users."""
    if users is None:
        return None
    from audit_emit.console import Access, SignIn  # noqa: PLC0415 - an extra

    secret = os.environ.get("AUDIT_EMIT_CONSOLE_PROXY_SECRET", "")
    sign_in = SignIn(**provider) if provider is not None else None
    return Access.from_file(
        users, proxy_header=proxy_header or "", proxy_secret=secret, sign_in=sign_in
    )


def _serve(
    application: Any, bind: str, port: int, certfile: str | None, keyfile: str | None
) -> None:
    import uvicorn  # noqa: PLC0415 - an extra

    with _bound(bind, port) as listening:
        scheme = "https" if certfile else "http"
        host = "localhost" if bind in _LOOPBACK else bind
        click.echo(f"{scheme}://{host}:{listening.getsockname()[1]}/  (Ctrl-C ends it)")
        sys.stdout.flush()
        config = uvicorn.Config(
            application,
            access_log=False,
            log_level="warning",
            ssl_certfile=certfile,
            ssl_keyfile=keyfile,
            server_header=False,
            timeout_graceful_shutdown=3,
            proxy_headers=False,
        )
        uvicorn.Server(config).run(sockets=[listening])


def _asked_password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    password = getpass.getpass("Password: ")
    if password != getpass.getpass("Again: "):
        raise click.UsageError("the two differ")
    return password


def _bound(bind: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    found = socket.socket(family)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((bind, port))
    except OSError as error:
        found.close()
        raise click.UsageError(f"--bind {bind} --port {port}: {error.strerror}") from None
    found.listen(128)
    return found


def _own_emitter(shown: str) -> Emitter:
    """The emitter of the console's own events.

    Raises:
        UsageError: its log would be the one that is shown.
    """
    given: dict[str, Any] = {"service": CONSOLE}
    if "AUDIT_EMIT_STDOUT" not in os.environ:
        given["stdout"] = False
    emitter = Emitter(**given)
    own = emitter.settings.jsonl
    if own is not None and os.path.exists(own):
        other = os.path.join(shown, "audit.jsonl") if os.path.isdir(shown) else shown
        one = os.path.join(own, "audit.jsonl") if os.path.isdir(own) else own
        if os.path.exists(other) and os.path.exists(one) and os.path.samefile(one, other):
            emitter.close()
            raise click.UsageError(
                "the console's own events would go into the log that it shows: set "
                "AUDIT_EMIT_JSONL to another file for it"
            )
    return emitter
