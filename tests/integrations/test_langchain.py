"""LangChain: one record for each call of a tool."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.requirements import package

package("langchain-core", "langchain_core")

from langchain_core.tools import tool  # noqa: E402

from audit_emit import bind  # noqa: E402
from audit_emit.integrations.langchain import LangChainAudit  # noqa: E402


@tool
def add(a: int, b: int) -> int:
    """Add."""
    return a + b


@tool
def fail(password: str) -> str:
    """Fail."""
    raise KeyError("the message")


def test_a_call_is_recorded_with_its_arguments_and_its_actor(records: Any) -> None:
    with bind(user_id="u-17"):
        assert add.invoke({"a": 1, "b": 2}, config={"callbacks": [LangChainAudit()]}) == 3
    (record,) = records()
    assert (record["event_type"], record["user_id"]) == ("agent.tool_called", "u-17")
    fields = record["fields"]
    assert (fields["tool"], fields["outcome"]) == ("add", "success")
    assert fields["arguments"] == {"a": 1, "b": 2}


def test_an_exception_is_named_and_nothing_secret_is_recorded(records: Any) -> None:
    with pytest.raises(KeyError):
        fail.invoke({"password": "open sesame"}, config={"callbacks": [LangChainAudit()]})
    (record,) = records()
    assert (record["fields"]["outcome"], record["fields"]["error"]) == ("failure", "KeyError")
    assert "open sesame" not in str(record)
    assert "the message" not in str(record)


def test_a_call_that_is_awaited_is_recorded_when_it_is_cancelled(records: Any) -> None:
    async def run() -> None:
        begun = asyncio.Event()

        @tool
        async def wait() -> None:
            """Wait."""
            begun.set()
            await asyncio.Event().wait()

        call = asyncio.create_task(wait.ainvoke({}, config={"callbacks": [LangChainAudit()]}))
        await begun.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    with bind(user_id="u-17"):
        asyncio.run(run())
    (record,) = records()
    assert (record["fields"]["outcome"], record["user_id"]) == ("cancelled", "u-17")
