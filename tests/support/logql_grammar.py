"""Grafana's own grammar of LogQL, which node runs: a text that it refuses is not LogQL.

    python logql_grammar.py

installs it into the virtual environment of that Python, where the tests look for it first; they
install it themselves when it is not there.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGE = "@grafana/lezer-logql"
VERSION = "0.3.0"
PATIENCE = 60
IN_ENVIRONMENT = Path(sys.prefix, "share", "logql-grammar")
"""Not in a system's Python: there the tests have their own temporary place."""

_CHECK = """
import { parser } from '@grafana/lezer-logql'
import { readFileSync } from 'node:fs'
const wrong = (text) => {
  let at = null
  parser.parse(text).iterate({ enter(node) { if (node.type.isError) at ??= node.from } })
  return at
}
console.log(JSON.stringify(JSON.parse(readFileSync(0, 'utf8')).map(wrong)))
"""


class NotThere(Exception):  # noqa: N818 - reads as what is the matter
    """The grammar cannot be run here; the message says why."""


def install(directory: Path) -> Path:
    """Make sure that the grammar is in ``directory``, through npm, and return its program.

    Raises:
        NotThere: node or npm is missing, or npm cannot get the package.
    """
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise NotThere(f"no {program} on the path")
    directory.mkdir(parents=True, exist_ok=True)
    check = directory / "check.mjs"
    with (directory / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        installed = directory / "node_modules" / PACKAGE / "package.json"
        if not installed.is_file() or json.loads(installed.read_bytes())["version"] != VERSION:
            _npm_install(directory)
        check.write_text(_CHECK, encoding="utf-8")
    return check


def _npm_install(directory: Path) -> None:
    quiet = ["--no-audit", "--no-fund", "--no-package-lock", "--prefer-offline"]
    quiet += ["--fetch-retries=0", "--fetch-timeout=20000"]  # offline: say so soon
    command = ["npm", "install", "--prefix", str(directory), *quiet, f"{PACKAGE}@{VERSION}"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        raise NotThere(f"npm did not get {PACKAGE} within {PATIENCE} s") from None
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("npm error")]
        raise NotThere(f"npm did not get {PACKAGE}: {' '.join(said[:2]) or done.returncode}")


def refused(check: Path, texts: list[str]) -> list[str]:
    """The texts that are not LogQL, each with what is wrong and from where on."""
    done = subprocess.run(
        ["node", str(check)],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    places = zip(texts, json.loads(done.stdout), strict=True)
    return [f"{text[at:][:40]!r} in {text!r}" for text, at in places if at is not None]


def main() -> None:
    """Install the grammar for later, or say why not; nothing else depends on it."""
    try:
        install(IN_ENVIRONMENT)
    except NotThere as reason:
        print(f"LogQL will not be checked against its grammar: {reason}", file=sys.stderr)


if __name__ == "__main__":
    main()
