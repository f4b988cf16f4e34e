"""The documentation page in a real browser: it shows every call, and its own policy does not stop it."""

import shutil
import subprocess
from pathlib import Path

import pytest
from systems import ServedApi

from api.openapi import path_of
from api.routes import ROUTES

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
    *("--virtual-time-budget=5000", "--dump-dom"),
)


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_the_page_shows_every_call(served_api: ServedApi, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{served_api.server.port}/docs"
    command = [str(BROWSER), *FLAGS, f"--user-data-dir={tmp_path}", url]
    page = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
    for route in ROUTES:
        assert route.summary in page
        assert f"<code>{path_of(route)}</code>" in page
    assert "Loading…" not in page
