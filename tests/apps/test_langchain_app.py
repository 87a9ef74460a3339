"""The example on LangChain."""

from __future__ import annotations

from typing import Any

import pytest
from support.requirements import package

package("langchain-core", "langchain_core")

import langchain_app  # noqa: E402


def test_each_call_of_a_tool_is_a_record_of_the_user_for_whom_it_was_made(
    records: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pin = "4" * 4 + "9" * 4
    monkeypatch.setattr(langchain_app, "PIN", pin)
    monkeypatch.setattr(langchain_app, "ACCOUNTS", {"a-1": 120, "a-2": 30})
    moved = {"source": "a-1", "target": "a-2", "amount": 50, "pin": pin}
    calls = [
        (langchain_app.balance, {"account": "a-1"}),
        (langchain_app.transfer, moved),
        (langchain_app.transfer, {**moved, "amount": 5000}),
    ]
    said = langchain_app.act("u-17", calls)
    assert said == ["120", "done", "refused: ValueError"]
    called = records("agent.tool_called")
    seen = [(one["fields"]["tool"], one["fields"]["outcome"]) for one in called]
    assert seen == [("balance", "success"), ("transfer", "success"), ("transfer", "failure")]
    assert {(one["user_id"], one["actor_kind"]) for one in records()} == {("u-17", "agent")}
    assert [one["fields"]["amount"] for one in records("money.transferred")] == [50]
    assert pin not in str(records())
