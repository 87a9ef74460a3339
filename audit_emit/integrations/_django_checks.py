"""The setting ``AUDIT_EMIT`` of a Django project, and the checks of it by ``manage.py check``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core import checks

from audit_emit.errors import ConfigError
from audit_emit.integrations._common import Emits
from audit_emit.integrations._options import Options

SETTING = "AUDIT_EMIT"
PATH = "audit_emit.integrations.django.AuditMiddleware"
"""How ``MIDDLEWARE`` names it."""


def options() -> tuple[Options, Emits | None]:
    """The setting ``AUDIT_EMIT``, checked, and the emitter that it names."""
    given = dict(getattr(settings, SETTING, None) or {})
    emitter: Emits | None = given.pop("emitter", None)
    return Options.make(given), emitter


def check_middleware(**_: Any) -> list[Any]:
    """Find a middleware that is missing, listed twice or misplaced, and a wrong option."""
    return [*_misplaced(), *_wrong_options()]


def _wrong_options() -> list[Any]:
    """Report wrong options here, rather than when a server starts in the middle of a deployment."""
    try:
        options()
    except ConfigError as error:
        hint = f"docs/integrations.md and docs/configuration.md list the options of {SETTING}."
        return [checks.Error(f"{SETTING}: {error}", hint=hint, id="audit_emit.E002")]
    return []


def _misplaced() -> list[Any]:
    listed: Sequence[str] = settings.MIDDLEWARE
    count = sum(1 for one in listed if one == PATH)
    if count == 0:
        hint = f"Put {PATH!r} at the top of MIDDLEWARE."
        return [checks.Warning("no request is recorded", hint=hint, id="audit_emit.W001")]
    if count > 1:
        hint = "Keep the first one."
        return [checks.Error("AuditMiddleware is listed twice", hint=hint, id="audit_emit.E001")]
    before = [one for one in listed[: listed.index(PATH)] if one != PATH]
    if before:
        text = f"{before[0]} stands before AuditMiddleware: what it answers itself is not recorded"
        hint = f"Move {PATH!r} to the top of MIDDLEWARE; it needs none of the others."
        return [checks.Warning(text, hint=hint, id="audit_emit.W002")]
    return []
