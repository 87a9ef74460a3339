"""How soon a store that was never reached is given up."""

from __future__ import annotations

from typing import Any

__all__ = ["FirstContact"]

_ATTEMPTS = {"EndpointConnectionError": 2, "ConnectTimeoutError": 1}
"""Attempts at most to reach a store, by the error of botocore that ended one."""


class FirstContact:
    """Ends the attempts of botocore early, as long as the store has not answered once.

    Whoever mistypes an address would else wait until all attempts are used up, each after a longer
    pause. A store that was there before is waited for as long as botocore does. It is called by
    botocore after each attempt (the event ``needs-retry``).
    """

    def __init__(self) -> None:
        self._answered = False

    def __call__(
        self,
        *,
        response: Any = None,
        attempts: int = 0,
        caught_exception: Exception | None = None,
        **_: Any,
    ) -> None:
        """One attempt has ended.

        Raises:
            Exception: the one that ended it, where there is no other attempt.
        """
        if response is not None:
            self._answered = True
        if caught_exception is None or self._answered:
            return
        most = _ATTEMPTS.get(type(caught_exception).__name__)
        if most is not None and attempts >= most:
            raise caught_exception
