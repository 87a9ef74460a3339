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


@tool
async def wait(seconds: float) -> str:
    """Wait."""
    await asyncio.sleep(seconds)
    return "done"


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
        call = wait.ainvoke({"seconds": 60}, config={"callbacks": [LangChainAudit()]})
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(call, 0.1)

    with bind(user_id="u-17"):
        asyncio.run(run())
    (record,) = records()
    assert (record["fields"]["outcome"], record["user_id"]) == ("cancelled", "u-17")
