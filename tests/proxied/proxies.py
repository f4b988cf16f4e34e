"""The shipped proxy configuration in a real nginx, with ports and paths of a test."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from ports import free_port
from world import until

CONFIGURATION = Path(__file__).parents[2] / "deploy" / "nginx.conf"
NGINX = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")


@dataclass(frozen=True)
class Proxy:
    """A proxy that runs: its two ports, and what it wrote."""

    api: int
    webhook: int
    log_file: Path

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")


@contextmanager
def shipped_proxy(folder: Path, *, api: int, webhook: int) -> Iterator[Proxy]:
    """Run the proxy in front of two ports until the end of the block."""
    if NGINX is None:
        pytest.skip("no nginx on this machine")
    proxy = Proxy(free_port(), free_port(), folder / "log")
    (folder / "nginx.conf").write_text(_configuration(folder, proxy, api=api, webhook=webhook))
    # As root the workers would become somebody who may not enter a test's folder.
    user = " user root;" if os.geteuid() == 0 else ""
    with proxy.log_file.open("wb") as log:
        command = [NGINX, "-c", str(folder / "nginx.conf"), "-g", f"daemon off;{user}"]
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            until(lambda: (folder / "nginx.pid").exists())
            yield proxy
        finally:
            process.terminate()
            process.wait(15)


def _configuration(folder: Path, proxy: Proxy, *, api: int, webhook: int) -> str:
    text = CONFIGURATION.read_text()
    for old, new in (
        ("/tmp/", f"{folder}/"),
        ("server api:8080", f"server 127.0.0.1:{api}"),
        ("server webhook:8081", f"server 127.0.0.1:{webhook}"),
        ("listen 8080", f"listen 127.0.0.1:{proxy.api}"),
        ("listen 8081", f"listen 127.0.0.1:{proxy.webhook}"),
    ):
        assert old in text
        text = text.replace(old, new)
    return text
