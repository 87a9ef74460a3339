"""``python tests/bench/run.py``: the figures of docs/performance.md, measured on this machine."""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    # tests/ instead of tests/bench/: the modules are ``bench.*`` here, in the child processes and
    # for the type checker alike. The checkout comes last, for when it is not installed.
    tests = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    sys.path[0] = tests
    sys.path += [os.path.join(tests, "support"), os.path.dirname(tests)]
    from bench.main import main

    sys.exit(main())
