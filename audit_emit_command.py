"""The entry point of the command ``audit-emit``: Ctrl-C while it starts leaves no traceback.

It is no part of the package, because Python would load that first. Until everything is loaded,
Ctrl-C ends the process as it ends any other program.
"""

from __future__ import annotations

# Not ``signal``: that loads ``enum`` and more first, which takes longer than all of this module.
import _signal as signal  # type: ignore[import-not-found]
import gc

__all__ = ["main"]


def main() -> int:
    """Run the command line, and return its exit status.

    What is loaded stays until the process ends, so the garbage collector is kept from looking at
    it, again and again while it is loaded, and three times at the end. A third of a short command's
    time was that.
    """
    gc.disable()
    # A process that a shell has started in the background ignores it, and goes on doing that.
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from audit_emit.cli._exit import INTERRUPTED  # noqa: PLC0415 - see above
    from audit_emit.cli._group import run  # noqa: PLC0415

    gc.freeze()
    gc.enable()
    try:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return run(None)
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        gc.freeze()
        if ours:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
