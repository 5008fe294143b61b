"""One writer at a time: a lock that the operating system gives back when its holder dies.

The lock is ``flock`` on ``STORE/.lock``. A process that is killed loses it at once, so there are no stale
locks to clear by hand. The file's text only says who holds it, for the message to the second writer.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.errors import InfrastructureFault

LOCK_FILE = ".lock"
_HOLDER = re.compile(r" \(run [a-z0-9-]{1,80}, process [0-9]{1,20} on [A-Za-z0-9._-]{1,255}\)")


@contextmanager
def locked(root: Path, run_id: str) -> Iterator[None]:
    """Hold the store's lock while the block runs.

    Args:
        root: The store's folder.
        run_id: Who takes the lock, for the message to others.

    Raises:
        InfrastructureFault: Another process holds the lock (``STORE_LOCKED``), or the file cannot be
            opened (``STORE_LOCK_FAILED``).
    """
    try:
        descriptor = os.open(root / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    except OSError:
        raise InfrastructureFault(
            "STORE_LOCK_FAILED", f"cannot open {root / LOCK_FILE}; check that the store is writable"
        ) from None
    try:
        _take(descriptor, root)
        _describe_holder(descriptor, run_id)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, root: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InfrastructureFault(
            "STORE_LOCKED",
            f"another process writes to {root}{_holder(descriptor)}; wait for it to end, then run again",
        ) from None
    except OSError:
        raise InfrastructureFault(
            "STORE_LOCK_FAILED", f"the filesystem of {root} has no file locks; use one that has"
        ) from None


def _describe_holder(descriptor: int, run_id: str) -> None:
    holder = json.dumps({"run_id": run_id, "pid": os.getpid(), "host": socket.gethostname()}).encode()
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, holder, 0)
    except OSError:
        return  # a full disk must not keep a lock from being held: the text only serves a message


def _holder(descriptor: int) -> str:
    try:
        return holder_told(os.pread(descriptor, 1000, 0))
    except OSError:
        return ""


def holder_told(text: bytes) -> str:
    """What a lock's text says of its holder, for a message; nothing where it is not as a holder writes it.

    Whoever can write the store can write this text, and the message goes to a terminal.
    """
    try:
        holder = json.loads(text)
        told = f" (run {holder['run_id']}, process {holder['pid']} on {holder['host']})"
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return told if _HOLDER.fullmatch(told) else ""
