"""What secrets look like, one module for each family. A new rule is one line in one of them."""

from __future__ import annotations

from audit_emit._redaction.rule import Rule
from audit_emit._redaction.rules import (
    ai,
    chat,
    cloud,
    code,
    keys,
    operations,
    payment,
    services,
)

__all__ = ["RULES"]

RULES: tuple[Rule, ...] = (
    *keys.RULES,
    *cloud.RULES,
    *code.RULES,
    *ai.RULES,
    *chat.RULES,
    *operations.RULES,
    *payment.RULES,
    *services.RULES,
)
