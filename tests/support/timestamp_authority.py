"""A timestamp authority of the tests' own: ``openssl ts`` behind HTTP, with a root made here."""

from __future__ import annotations

import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support import requirements
from support.http_served import serving

from audit_emit._runtime.http_server import Answer, Request

CONFIG = """\
[req]
distinguished_name = name
[name]
[leaf]
basicConstraints = critical, CA:false
extendedKeyUsage = critical, timeStamping
[tsa]
default_tsa = ours
[ours]
serial = serial
signer_cert = leaf.pem
signer_key = leaf.key
certs = leaf.pem
signer_digest = sha512
default_policy = 1.2.3.4
digests = sha512
"""


class Authority:
    """One with keys of its own.

    Args:
        place: a directory of its own.
        days: for which its certificate is good from now on; one that ended is -1.

    Attributes:
        root: the certificate that is trusted, in PEM.
    """

    def __init__(self, place: Path, days: int = 30) -> None:
        self._program = requirements.program("openssl")
        self._place = place
        self._lock = threading.Lock()
        (place / "c.cnf").write_text(CONFIG)
        (place / "serial").write_text("01\n")
        new = ("req", "-config", "c.cnf", "-newkey", "rsa:2048", "-nodes")
        self._run(*new, "-x509", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=root")
        self._run(*new, "-keyout", "leaf.key", "-out", "leaf.csr", "-subj", "/CN=tsa")
        signed = ("x509", "-req", "-in", "leaf.csr", "-CA", "ca.pem", "-CAkey", "ca.key")
        more = ("-CAcreateserial", "-extfile", "c.cnf", "-extensions", "leaf", "-out", "leaf.pem")
        self._run(*signed, *more, "-days", str(days))
        self.root = (place / "ca.pem").read_bytes()

    def _run(self, *words: str) -> None:
        subprocess.run([self._program, *words], cwd=self._place, check=True, capture_output=True)

    def stamp(self, query: bytes) -> bytes:
        """The answer to a query."""
        with self._lock, tempfile.TemporaryDirectory(dir=self._place) as made:
            Path(made, "q").write_bytes(query)
            where = ("-queryfile", f"{made}/q", "-out", f"{made}/a")
            self._run("ts", "-reply", "-config", "c.cnf", "-section", "ours", *where)
            return Path(made, "a").read_bytes()


@contextmanager
def answering(authority: Authority) -> Iterator[str]:
    """The address of an authority."""

    def respond(request: Request) -> Answer:
        return Answer(200, authority.stamp(request.body), "application/timestamp-reply")

    with serving(respond, most=1 << 16) as server:
        yield server.url
