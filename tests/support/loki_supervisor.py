"""A process of its own that starts a Loki, and ends it when nobody holds the lock file any more.

    python -m support.loki_supervisor PROGRAM CONFIG DIRECTORY

``DIRECTORY/url`` says where Loki listens, as long as it is ready. Who uses it holds a shared
``flock`` on ``DIRECTORY/users``: the workers of a test run come and go, or are killed, and the
last one cannot know that it is. What went wrong is on stderr.
"""

from __future__ import annotations

import fcntl
import http.client
import subprocess
import sys
import time
from pathlib import Path

from support.ports import free_ports
from support.waiting import PATIENCE

TRIES = 5
_BUSY_PORT = b"address already in use"
_IMPATIENT = [
    # Loki waits for the other members of a cluster; alone it is ready within a second.
    "-ingester.min-ready-duration=0s",
    "-frontend.scheduler-dns-lookup-period=100ms",
    "-querier.dns-lookup-period=100ms",
    "-ruler.poll-interval=1s",
    "-ruler.evaluation-interval=1s",
]


def arguments(config: Path, directory: Path, ports: list[int]) -> list[str]:
    """What makes ``vector/loki.yaml`` run in a directory, with tenants, on these ports."""
    return [
        f"-config.file={config}",
        f"-common.path-prefix={directory}",
        f"-common.storage.filesystem.chunk-directory={directory / 'chunks'}",
        f"-ruler.storage.local.directory={directory / 'rules'}",
        f"-server.http-listen-port={ports[0]}",
        f"-server.grpc-listen-port={ports[1]}",
        "-auth.enabled=true",
        *_IMPATIENT,
    ]


def is_ready(port: int) -> bool:
    """Whether Loki takes and answers everything."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE / 4)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def start(program: str, config: Path, directory: Path) -> tuple[subprocess.Popen[bytes], int]:
    """Loki and its port, when it is ready; another process may take a port before Loki does."""
    log = directory / "loki.log"
    for _ in range(TRIES):
        ports = free_ports(2)
        with log.open("wb") as output:
            loki = subprocess.Popen(
                [program, *arguments(config, directory, ports)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE
        while loki.poll() is None and time.monotonic() < deadline:
            if is_ready(ports[0]):
                return loki, ports[0]
            time.sleep(0.1)
        loki.kill()
        loki.wait()
        if _BUSY_PORT not in log.read_bytes():
            break
    sys.exit(f"Loki did not start:\n{log.read_text(encoding='utf-8', errors='replace')[-3000:]}")


def guard(loki: subprocess.Popen[bytes], directory: Path) -> None:
    """Wait until nobody holds the lock, or Loki has ended by itself; then clear up."""
    with (directory / "users").open("rb") as users:
        while loki.poll() is None:
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.2)
            else:
                break
        (directory / "url").unlink()
        loki.kill()
        loki.wait()


def main() -> None:
    """Start Loki, tell where it is, and stay."""
    program, config, directory = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    (directory / "rules").mkdir(exist_ok=True)
    loki, port = start(program, config, directory)
    half = directory / "url.new"
    half.write_text(f"http://127.0.0.1:{port}", encoding="ascii")
    half.replace(directory / "url")
    guard(loki, directory)


if __name__ == "__main__":
    main()
