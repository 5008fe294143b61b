"""Starts a worker's container: fetches one side of the keys, then becomes Beam's worker.

The secret is what `tar --create --directory my-keys/ingest .` makes: the files of one side, a few kilobytes.
They are written to a folder that only this user reads, in the container's own filesystem, which is gone with
the worker. An image is built for one side and refuses the other: nothing that opens content belongs on a
worker of ingest.
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
import tarfile
from pathlib import Path
from typing import Any

WORKER = "/opt/apache/beam/boot"
SIDES = ("ingest", "release")
VERSION = re.compile(r"projects/[^/]+/secrets/[A-Za-z0-9_-]+/versions/[0-9]+")


def unpack(archive: bytes, folder: Path, side: str) -> None:
    """Write the files of one side of a key directory.

    Args:
        archive: A tar file of plain files, without folders.
        folder: Where to; it must not be there.
        side: The side that it must be.
    """
    if side not in SIDES:
        raise SystemExit(f"COFFERDAM_SIDE is one of {', '.join(SIDES)}; build the image again")
    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        members = [member for member in packed.getmembers() if member.name not in (".", "./")]
        files = {member.name.removeprefix("./"): member for member in members}
        if not all(member.isreg() and "/" not in name for name, member in files.items()):
            raise SystemExit("the secret holds something else than the files of one side of a key directory")
        contents = {name: packed.extractfile(member).read() for name, member in files.items()}  # type: ignore[union-attr]
    if json.loads(contents.get("keys.json", b"{}")).get("side") != side:
        raise SystemExit(f"the secret is not the {side} side of a key directory")
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700)
    for name, content in contents.items():
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)


def fetch(name: str, client: Any) -> bytes:
    """The bytes of one version of a secret; `latest` is refused, so that all workers have the same keys."""
    if not VERSION.fullmatch(name):
        raise SystemExit("COFFERDAM_KEYS_SECRET names projects/P/secrets/S/versions/N, with a number")
    content: bytes = client.access_secret_version(name=name).payload.data
    return content


def ensure_keys() -> None:
    """Fetch the keys, if they are not here yet."""
    folder = Path(os.environ["COFFERDAM_KEYS"])
    if folder.exists():
        return
    from google.cloud import secretmanager

    client = secretmanager.SecretManagerServiceClient()
    unpack(fetch(os.environ["COFFERDAM_KEYS_SECRET"], client), folder, os.environ["COFFERDAM_SIDE"])


if __name__ == "__main__":
    ensure_keys()
    os.execv(WORKER, [WORKER, *sys.argv[1:]])  # noqa: S606 - no shell
