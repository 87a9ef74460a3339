"""The options with which users of the console sign in by OpenID Connect."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from typing import Any

import click

_SECRET = "AUDIT_EMIT_CONSOLE_OIDC_SECRET"  # noqa: S105 - the name of a variable


def sign_in_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--oidc`` and what belongs to it, as the parameter ``provider``: what ``SignIn`` takes.

    It is ``None`` without ``--oidc``.
    """

    @functools.wraps(command)
    def wrapped(
        *args: Any,
        oidc: str | None,
        oidc_client: str | None,
        oidc_claim: str,
        url: str | None,
        **more: Any,
    ) -> Any:
        return command(*args, provider=_provider(oidc, oidc_client, oidc_claim, url), **more)

    for option in (
        click.option(
            "--url",
            help="The address of this console as browsers see it. The provider must allow the "
            "redirect to /callback below it.",
        ),
        click.option(
            "--oidc-claim",
            metavar="NAME",
            default="email",
            show_default=True,
            help="The claim of the ID token that is the name of a user.",
        ),
        click.option(
            "--oidc-client",
            metavar="ID",
            help=f"The client id of this console there. Its secret is {_SECRET}.",
        ),
        click.option(
            "--oidc",
            metavar="ISSUER",
            help="The OpenID provider with which users sign in, instead of a password.",
        ),
    ):
        wrapped = option(wrapped)
    return wrapped


def _provider(
    issuer: str | None, client: str | None, claim: str, url: str | None
) -> Mapping[str, str] | None:
    """What was given, or an error.

    Raises:
        UsageError: something is missing.
    """
    if issuer is None:
        if client or url:
            raise click.UsageError("--oidc-client and --url belong to --oidc")
        return None
    secret = os.environ.get(_SECRET, "")
    if not (client and url and secret):
        raise click.UsageError(f"--oidc needs --oidc-client, --url and {_SECRET}")
    return {
        "issuer": issuer,
        "client_id": client,
        "client_secret": secret,
        "claim": claim,
        "url": url,
    }
