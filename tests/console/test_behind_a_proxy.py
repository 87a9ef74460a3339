"""The console in a FastAPI application, below a prefix and behind nginx, in a real browser."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from console.test_browser import browser
from fastapi import FastAPI
from playwright.sync_api import expect
from support.chain_builder import MadeChain
from support.console_client import EVERYBODY, PASSWORD, log_in, users
from support.ports import free_port
from support.requirements import program
from support.served_console import Served
from support.waiting import PATIENCE, until

__all__ = ["browser"]

CONFIG = """
pid {here}/pid; error_log {here}/errors; daemon off; worker_processes 1;
events {{}}
http {{
  client_body_temp_path {here}/a; proxy_temp_path {here}/b; fastcgi_temp_path {here}/c;
  uwsgi_temp_path {here}/d; scgi_temp_path {here}/e; access_log off;
  server {{
    listen 127.0.0.1:{port};
    location /ops/audit/ {{
      proxy_pass {upstream};
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_buffering off;
    }}
    location / {{ return 404; }}
  }}
}}
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return log_in(tmp_path / "log")


def listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def address(log: Path, tmp_path: Path) -> Iterator[str]:
    nginx = program("nginx")

    def within(inner: Any) -> FastAPI:
        whole = FastAPI()
        whole.mount("/ops/audit", inner)
        return whole

    served = Served(log, within=within, access=users(**EVERYBODY))
    here, port = tmp_path / "nginx", free_port()
    here.mkdir()
    upstream = served.address.replace("localhost", "127.0.0.1")
    (here / "conf").write_text(CONFIG.format(here=here, port=port, upstream=upstream))
    command = [nginx, "-c", str(here / "conf"), "-e", str(here / "errors")]
    with subprocess.Popen(command) as process:
        try:
            until(lambda: listens(port), "the start of nginx")
            yield f"http://localhost:{port}/ops/audit/"
        finally:
            process.terminate()
            process.wait(PATIENCE)
            served.stop()


def test_everything_works_below_the_prefix(browser: Any, address: str, log: Path) -> None:
    context = browser.new_context(
        http_credentials={"username": "olga", "password": PASSWORD},
        viewport={"width": 1280, "height": 900},
    )
    context.set_default_timeout(PATIENCE * 1000)
    page = context.new_page()
    failed: list[str] = []
    page.on("console", lambda message: failed.append(message.text))
    page.on("pageerror", lambda error: failed.append(str(error)))
    page.on("response", lambda one: failed.append(one.url) if one.status == 404 else None)
    try:
        page.goto(address)
        page.get_by_role("button", name="Live tail").click()
        expect(page.get_by_text("Waiting for records…")).to_be_visible()
        with open(log / "audit.jsonl", "ab") as file:
            file.write(MadeChain().add(20, user_id="tailed").lines[19] + b"\n")
        row = page.locator("#events tbody tr.new")
        expect(row).to_contain_text("tailed")
        page.get_by_role("button", name="Pause").click()
        row.get_by_role("link").click()
        expect(page.get_by_role("heading", name="Evidence")).to_be_visible()
        page.get_by_role("link", name="Integrity").click()
        page.get_by_role("button", name="Verify").click()
        expect(page.get_by_text("The log was tampered with.")).to_be_visible()
        page.get_by_role("link", name="Verify in your browser").click()
        page.get_by_role("button", name="Verify in this browser").click()
        expect(page.locator("#result")).to_contain_text("hold")
        assert page.url == f"{address}verify"
    finally:
        context.close()
    assert failed == []
