"""A user's own rules: as objects, or in a file of TOML for whoever operates a service.

secret_keys = ["acme_pin"]
safe_keys = ["token_colour"]

[[rule]]
id = "acme-token"
keywords = ["acme_"]
find = 'acme_[A-Za-z0-9]{32}'
examples = ["acme_0123456789abcdef0123456789abcdef"]
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from audit_emit._redaction.rule import Rule
from audit_emit._redaction.rules import RULES
from audit_emit._runtime.words import why_not_opened
from audit_emit.errors import ConfigError

__all__ = ["RuleSet", "redaction_file", "redaction_rules"]

_MAX_BYTES = 1 << 20
_MAX_RULES = 1000
_MEMBERS = ("id", "keywords", "find", "examples", "non_examples", "word_start", "long_run")


class RuleSet(NamedTuple):
    """What a file of rules says."""

    rules: tuple[Rule, ...] = ()
    secret_keys: frozenset[str] = frozenset()
    safe_keys: frozenset[str] = frozenset()


def redaction_rules(name: str, value: Any) -> tuple[Rule, ...]:
    """A list of rules, each of which holds for its examples and takes linear time.

    Raises:
        ConfigError: it is no such list; the message says what to change.
    """
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ConfigError(name, "must be a list of audit_emit.Rule")
    rules = tuple(value)
    if len(rules) > _MAX_RULES:
        raise ConfigError(name, f"holds more than {_MAX_RULES} rules")
    known = {rule.id for rule in RULES}
    for rule in rules:
        if not isinstance(rule, Rule):
            raise ConfigError(name, f"holds a {type(rule).__name__}, which is no audit_emit.Rule")
        if rule.id in known:
            raise ConfigError(name, f"has two rules {rule.id!r}, or one that the library has")
        if not isinstance(rule.find, str):
            raise ConfigError(name, f"rule {rule.id}: find must be a regular expression, a string")
        known.add(rule.id)
        try:
            rule.check()
        except ValueError as error:
            raise ConfigError(name, str(error)) from None
    return rules


def redaction_file(name: str, value: Any) -> RuleSet | None:
    """The rules in a file of TOML.

    Raises:
        ConfigError: it cannot be read, or something in it is not as it must be.
    """
    if value is None or value == "":
        return None
    try:
        with open(os.fspath(value), "rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except (OSError, TypeError, ValueError) as error:
        raise ConfigError(
            name, f"names a file that cannot be read: {why_not_opened(error)}"
        ) from None
    if len(data) > _MAX_BYTES:
        raise ConfigError(name, f"names a file of more than {_MAX_BYTES} bytes")
    return _rule_set(name, _parsed(name, data))


def _parsed(name: str, data: bytes) -> Mapping[str, Any]:
    import tomllib  # noqa: PLC0415 - only for whoever has such a file

    try:
        return tomllib.loads(data.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(name, f"names a file that is no TOML: {error}") from None


def _rule_set(name: str, parsed: Mapping[str, Any]) -> RuleSet:
    unknown = sorted(set(parsed) - {"rule", "secret_keys", "safe_keys"})
    if unknown:
        raise ConfigError(
            name, f"has {unknown[0]!r}; there are rule (in [[ ]]), secret_keys and safe_keys"
        )
    tables = parsed.get("rule", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ConfigError(name, "must have each rule in a table of its own: [[rule]]")
    return RuleSet(
        redaction_rules(name, [_rule(name, table) for table in tables]),
        _keys(name, "secret_keys", parsed),
        _keys(name, "safe_keys", parsed),
    )


def _rule(name: str, table: Mapping[str, Any]) -> Rule:
    unknown = sorted(set(table) - set(_MEMBERS))
    missing = [member for member in _MEMBERS[:3] if member not in table]
    if unknown or missing:
        what = f"has {unknown[0]!r}" if unknown else f"lacks {missing[0]!r}"
        raise ConfigError(name, f"a rule {what}; its members are {', '.join(_MEMBERS)}")
    try:
        return Rule(**table)
    except (ValueError, TypeError) as error:
        raise ConfigError(name, str(error)) from None


def _keys(name: str, member: str, parsed: Mapping[str, Any]) -> frozenset[str]:
    keys = parsed.get(member, [])
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise ConfigError(name, f"{member} must be a list of names")
    if not all(key.removeprefix("exact:").strip() for key in keys):
        raise ConfigError(name, f"{member} holds an empty name")
    return frozenset(keys)
