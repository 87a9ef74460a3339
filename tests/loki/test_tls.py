"""Certificates: an authority of one's own, one that is shown, and what cannot be used."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from support.waiting import PATIENCE

from audit_emit._loki.client import LokiClient
from audit_emit.errors import ConfigError, Unreachable

KEY = ec.generate_private_key(ec.SECP256R1())
"""Of everybody here: what is tested is who vouches for whom."""


class Files(NamedTuple):
    """Of one authority."""

    ca: str
    cert: str
    key: str


def certificate(name: str, issuer: str, *, authority: bool) -> bytes:
    now = dt.datetime.now(dt.UTC)
    one = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(KEY.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(KEY.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(KEY.public_key()), critical=False
        )
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                key_cert_sign=authority,
                crl_sign=authority,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
    )
    return one.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    directory = tmp_path_factory.mktemp("tls")
    key = KEY.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    made = Files(*(str(directory / name) for name in ("ca.pem", "cert.pem", "key.pem")))
    Path(made.ca).write_bytes(certificate("ca", "ca", authority=True))
    Path(made.cert).write_bytes(certificate("one", "ca", authority=False))
    Path(made.key).write_bytes(key)
    return made


class _Ready(BaseHTTPRequestHandler):
    def do_GET(self) -> None:  # named by http.server
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A handshake that fails is what is tested."""


@pytest.fixture(params=[False, True], ids=["anybody", "whom the authority knows"])
def server(request: pytest.FixtureRequest, files: Files) -> Iterator[tuple[str, bool]]:
    """Its address, and whether it wants a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.cert, files.key)
    # A client hears of a refusal within the handshake.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    if request.param:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(files.ca)
    made = _Server(("127.0.0.1", 0), _Ready)
    made.socket = context.wrap_socket(made.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=made.serve_forever, args=(0.01,))
    thread.start()
    yield f"https://127.0.0.1:{made.server_port}", request.param
    made.shutdown()
    made.server_close()
    thread.join()


def test_an_authority_of_ones_own_and_a_certificate(server: tuple[str, bool], files: Files) -> None:
    url, _ = server
    with LokiClient(
        url, ca_file=files.ca, cert_file=files.cert, key_file=files.key, timeout=PATIENCE
    ) as client:
        assert client.ready()


def test_without_a_certificate_where_one_is_wanted(server: tuple[str, bool], files: Files) -> None:
    url, wanted = server
    with LokiClient(url, ca_file=files.ca, timeout=PATIENCE) as client:
        if not wanted:
            assert client.ready()
            return
        with pytest.raises(Unreachable):
            client.ready()


def test_an_authority_that_the_machine_does_not_know(server: tuple[str, bool]) -> None:
    with (
        LokiClient(server[0], timeout=PATIENCE) as client,
        pytest.raises(Unreachable, match="certif"),
    ):
        client.ready()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"ca_file": "/nowhere/ca.pem"}, "CA file cannot be used: No such file"),
        ({"ca_file": "KEY"}, "CA file cannot be used"),
        ({"cert_file": "/nowhere/x"}, "client certificate cannot be used: No such file"),
        ({"cert_file": "CERT"}, "client certificate cannot be used"),
        ({"key_file": "KEY"}, "needs its certificate"),
    ],
)
def test_what_cannot_be_used_is_told_before_anybody_is_asked(
    options: dict[str, str], why: str, files: Files
) -> None:
    named = {"KEY": files.key, "CERT": files.cert}
    with pytest.raises(ConfigError, match=why):
        LokiClient("https://127.0.0.1:1", **{n: named.get(v, v) for n, v in options.items()})  # type: ignore[arg-type]


def test_certificates_without_encryption_are_a_mistake(files: Files) -> None:
    with pytest.raises(ConfigError, match="no use"):
        LokiClient("http://127.0.0.1:1", ca_file=files.ca)
