"""``python tests/faults/inject.py``: what ``make fault`` runs; ``--help`` says what else it can."""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    # tests/ instead of tests/faults/: the modules are ``faults.*`` here, in the child processes and
    # for the type checker alike. The checkout comes last, for when it is not installed.
    tests = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    sys.path[0] = tests
    sys.path.append(os.path.dirname(tests))
    from faults.campaign import main

    sys.exit(main())
