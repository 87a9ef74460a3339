"""The entry point of the command ``audit-emit``: Ctrl-C while it starts leaves no traceback.

It is no part of the package, because Python would load that first. Until everything is loaded,
Ctrl-C ends the process as it ends any other program.
"""

from __future__ import annotations

# Not ``signal``: that loads ``enum`` and more first, which takes longer than all of this module.
import _signal as signal  # type: ignore[import-not-found]

__all__ = ["main"]


def main() -> int:
    """Run the command line, and return its exit status."""
    # A process that a shell has started in the background ignores it, and goes on doing that.
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from audit_emit.cli._exit import INTERRUPTED  # noqa: PLC0415 - see above
    from audit_emit.cli._group import run  # noqa: PLC0415

    try:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return run(None)
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
