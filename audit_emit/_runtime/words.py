"""Errors of a connection or a file, in the words of the operating system."""

from __future__ import annotations

__all__ = ["why_not_opened", "words_of"]

_DEEPEST = 8


def words_of(error: BaseException) -> str:
    """A sentence such as "connection refused" for an error that a library has wrapped.

    The text of an HTTP client's error is ``[Errno 111] Connection refused``, or only the name of a
    class. The error of the system is among its causes. If there is none, the text of the error is
    not repeated: it may hold an address with secrets.
    """
    found: BaseException | None = error
    for _ in range(_DEEPEST):
        if found is None:
            break
        if isinstance(found, OSError) and found.strerror:
            return found.strerror[:1].lower() + found.strerror[1:]
        found = found.__cause__ or found.__context__
    late = isinstance(error, TimeoutError) or "Timeout" in type(error).__name__
    return "no answer in time" if late else "the connection failed"


def why_not_opened(error: Exception) -> str:
    """Why a file cannot be opened or read, without its name, which may be a misplaced secret.

    Args:
        error: of ``open``; a ``ValueError`` or ``TypeError`` if no file can have such a name.
    """
    if isinstance(error, OSError):
        return words_of(error) if error.strerror else "the system refuses it"
    return "no file has such a name"
