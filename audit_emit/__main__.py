"""``python -m audit_emit``: the same as the command ``audit-emit``."""

from __future__ import annotations

import sys

from audit_emit.cli import main

if __name__ == "__main__":
    sys.exit(main())
