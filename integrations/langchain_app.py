"""An agent's tools on LangChain: which tool was called, for whom, with what outcome.

pip install 'audit-emit[langchain]'
python langchain_app.py
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from langchain_core.tools import tool

from audit_emit import bind, emit
from audit_emit.integrations.langchain import LangChainAudit

PIN = os.environ.get("PIN", "0000")
ACCOUNTS = {"a-1": 120, "a-2": 30}


@tool
def balance(account: str) -> int:
    """The balance of an account."""
    return ACCOUNTS[account]


@tool
def transfer(source: str, target: str, amount: int, pin: str) -> str:
    """Move an amount from one account to another, for who knows the PIN."""
    if pin != PIN:
        raise ValueError("another PIN")
    if ACCOUNTS[source] < amount:
        raise ValueError("not enough")
    ACCOUNTS[source] -= amount
    ACCOUNTS[target] += amount
    emit(None, "money.transferred", {"source": source, "target": target, "amount": amount})
    return "done"


def act(user_id: str, calls: Sequence[tuple[Any, Any]]) -> list[str]:
    """Do for a user what a model has chosen: the agent gives the same ``config`` to its tools."""
    config: Any = {"callbacks": [LangChainAudit()]}
    said = []
    with bind(user_id=user_id, actor_kind="agent"):
        for chosen, arguments in calls:
            try:
                said.append(str(chosen.invoke(arguments, config=config)))
            except (KeyError, ValueError) as error:
                said.append(f"refused: {type(error).__name__}")
    return said


if __name__ == "__main__":
    moved = {"source": "a-1", "target": "a-2", "amount": 50, "pin": PIN}
    sys.stdout.write(repr(act("u-17", [(balance, {"account": "a-1"}), (transfer, moved)])) + "\n")
