"""A pool of threads that keeps the context."""

from __future__ import annotations

import asyncio

from audit_emit import bind, current_context
from audit_emit.integrations.executors import ContextThreadPoolExecutor


def actor(_: int = 0) -> str:
    return str(current_context().user_id)


def test_functions_run_with_the_context_of_whoever_submits_them() -> None:
    with ContextThreadPoolExecutor(1) as pool:
        with bind(user_id="u-1"):
            first = pool.submit(actor)
            mapped = list(pool.map(actor, range(2)))
        with bind(user_id="u-2"):
            second = pool.submit(actor)
        assert [first.result(), *mapped, second.result()] == ["u-1", "u-1", "u-1", "u-2"]
        assert pool.submit(actor).result() == ""


def test_the_executor_of_a_loop_keeps_the_context() -> None:
    async def run() -> str:
        with ContextThreadPoolExecutor(1) as pool:
            return await asyncio.get_running_loop().run_in_executor(pool, actor)

    with bind(user_id="u-1"):
        assert asyncio.run(run()) == "u-1"
