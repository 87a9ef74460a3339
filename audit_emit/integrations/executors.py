"""A pool of threads whose functions run with the context of whoever has submitted them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from audit_emit.context import wrap_context

__all__ = ["ContextThreadPoolExecutor"]

P = ParamSpec("P")
R = TypeVar("R")


class ContextThreadPoolExecutor(ThreadPoolExecutor):
    """``ThreadPoolExecutor``, for ``submit``, ``map`` and ``loop.run_in_executor``."""

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Run a function in a thread, with the context that is bound now."""
        return super().submit(wrap_context(fn), *args, **kwargs)
