"""The rules of ``vector/rules`` for another tenant, with other thresholds or exceptions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from audit_emit._facade.records import SERVICE
from audit_emit.errors import ConfigError

TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,149}")
"""Tenants of Loki that need no quotes in YAML and in a shell; others are refused."""

SPAN = re.compile(r"[1-9][0-9]{0,4}[smhd]")
SILENT = "AuditServiceSilent"

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_WORDS = {
    each
    for word in "true false yes no on off null y n".split()
    for each in (word, word.upper(), word.title())
}
_BLOCK = re.compile(r"(?m)^      - (?:alert|record): ")
_SELECTOR = '{job="audit"'

_SILENCE = """\
      - alert: AuditServiceSilent
        expr: |
          absent_over_time({{job="audit", service="{service}"}} [{span}])
        labels:
          severity: warning
          tenant: fake
          service: {name}
        annotations:
          query: silence.logql
          runbook_url: docs/runbook.md#auditservicesilent
          summary: '{service} has recorded nothing for {span}'
          description: 'This stays as long as it is silent.'
          command: >-
            audit-emit query --type "audit.*" --where service={service} --since 7d --loki URL
          host: unknown
          chain: unknown
"""


def pairs(texts: Iterable[str], what: str) -> list[tuple[str, str]]:
    """``NAME=VALUE``, several times.

    Raises:
        ConfigError: one is none.
    """
    found = [text.partition("=") for text in texts]
    if any(not name or not equals or not value for name, equals, value in found):
        raise ConfigError(what, "must be NAME=VALUE")
    return [(name, value) for name, _, value in found]


def written(
    text: str,
    tenant: str | None = None,
    silent: Sequence[tuple[str, str]] = (),
    exceptions: Sequence[tuple[str, str]] = (),
) -> str:
    """A file of rules.

    Args:
        tenant: the label of every rule, and of the commands.
        silent: services with the time after which their silence is an alert.
        exceptions: alerts, each with a service that it is not about.

    Raises:
        ConfigError: a name cannot be used, or there is no such alert.
    """
    for service, span in silent:
        _checked("silent", service, SERVICE)
        _checked("silent", span, SPAN)
    without: dict[str, list[str]] = {}
    for alert, service in [*exceptions, *((SILENT, service) for service, _ in silent)]:
        if f"- alert: {alert}\n" not in text:
            raise ConfigError("except", f"names {alert}, and there is no such alert")
        without.setdefault(alert, []).append(_checked("except", service, SERVICE))
    first, *blocks = _split(text)
    text = first + "".join(_without(block, without) for block in blocks)
    if silent:
        more = "".join(
            _SILENCE.format(service=service, name=_text(service), span=span)
            for service, span in silent
        )
        at = text.index("      - alert: AuditNothingArrives\n")
        text = text[:at] + more + text[at:]
    if tenant is not None:
        _checked("tenant", tenant, TENANT)
        text = text.replace("tenant: fake", f"tenant: {_text(tenant)}")
        text = text.replace("--loki URL", f"--loki URL --tenant {tenant}")
    return text


def _split(text: str) -> list[str]:
    """The text before the first rule, then each rule."""
    starts = [found.start() for found in _BLOCK.finditer(text)]
    return [text[a:b] for a, b in zip([0, *starts], [*starts, len(text)], strict=True)]


def _without(block: str, without: Mapping[str, Sequence[str]]) -> str:
    name = block.partition(": ")[2].partition("\n")[0]
    services = "|".join(without.get(name, ()))
    if not services:
        return block
    # Not the queries of annotations: those are about one service.
    head, labels, rest = block.partition("        labels:")
    if _SELECTOR not in head.replace(f"{_SELECTOR}-", ""):
        raise ConfigError("except", f"names {name}, which is not about single services")
    return head.replace(_SELECTOR, f'{_SELECTOR}, service!~"{services}"') + labels + rest


def _text(name: str) -> str:
    """A name in YAML, where some, such as 123 or null, would be no text."""
    return name if _PLAIN.fullmatch(name) and name not in _WORDS else f"'{name}'"


def _checked(what: str, text: str, wanted: re.Pattern[str]) -> str:
    if not wanted.fullmatch(text):
        raise ConfigError(what, f"{text!r} cannot be used here")
    return text
