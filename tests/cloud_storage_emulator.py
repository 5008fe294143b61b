"""``fake-gcs-server``, where it is installed: another party's idea of Cloud Storage, over its real protocol.

go install github.com/fsouza/fake-gcs-server@v1.56.1
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

EMULATOR = "fake-gcs-server"


def emulator() -> str:
    """Where the emulator is installed."""
    found = shutil.which(EMULATOR) or shutil.which(EMULATOR, path=str(Path.home() / "go" / "bin"))
    if found is None:
        pytest.skip(f"{EMULATOR} is not installed")
    return found


@contextmanager
def emulated_storage() -> Iterator[str]:
    """Run the emulator with a bucket ``bucket``: its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    options = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory"]
    with subprocess.Popen(
        [emulator(), *options, "-external-url", address, "-log-level", "error"], stderr=subprocess.DEVNULL
    ) as process:
        try:
            for _ in range(100):
                with suppress(OSError):
                    urllib.request.urlopen(f"{address}/storage/v1/b").close()  # noqa: S310 - our own
                    break
                time.sleep(0.1)
            client(address).create_bucket("bucket")
            yield address
        finally:
            process.terminate()


def client(address: str) -> storage.Client:
    """A client of a service that asks for no credentials."""
    return storage.Client(
        project="p", credentials=AnonymousCredentials(), client_options={"api_endpoint": address}
    )
