"""The command ``audit-emit`` as a process of its own, as the script that pip makes starts it."""

from __future__ import annotations

import sys

CODE = "import sys; from audit_emit_command import main; sys.exit(main())"
PROGRAM = (sys.executable, "-c", CODE)
