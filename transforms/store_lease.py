"""One writer at a time where there are no file locks: a lease, that ends by itself if its holder dies.

The lease is the object ``.lock`` of a store or of a folder of it, made on condition that there is none. Its
holder renews it every minute; one that was not renewed for ten minutes of the service's own clock may be
taken over, by one of all that try. A holder trusts its lease for seven minutes from the last renewal and
refuses to change anything after that; three minutes are left for requests that are under way, which the
client library gives up after two. So two processes never both believe that they may write, unless one of them
is suspended between the look at its clock and its request, for longer than that.

Commits need no lease: of two that saw the same store, one makes the manifest, and the other changes nothing.
"""

from __future__ import annotations

import json
import math
import os
import socket
import time
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any, Final, Protocol

from schemas.errors import CofferdamError, InfrastructureFault
from transforms.store_lock import LOCK_FILE, holder_told

EXPIRES: Final = 600.0
"""Seconds, of the service's clock, after which somebody else may take a lease that was not renewed."""
TRUSTED: Final = 420.0
"""Seconds from the last renewal for which its holder may change the store."""
RENEWED: Final = 60.0
"""Seconds between renewals."""


class Objects(Protocol):
    """What a lease needs of a store's files."""

    root: str

    def put(self, path: str, content: bytes, generation: int) -> int | None:
        """Make an object in the place of one generation of it; None where another one is there."""

    def look(self, path: str) -> Any:
        """An object with ``generation`` and ``updated``, or None."""

    def read(self, path: str) -> bytes:
        """The bytes of an object."""

    def delete_generation(self, path: str, generation: int) -> None:
        """Delete one generation of an object."""


class Lease:
    """The lease of a store, or of a folder of it, held while the block runs.

    Args:
        objects: The store's objects.
        run_id: Who takes it, for the message to others.
        folder: Folder that is kept from others; the store itself, if empty.
    """

    def __init__(self, objects: Objects, run_id: str, folder: str = "") -> None:
        self._objects, self._run_id = objects, run_id
        self._path = f"{folder}/{LOCK_FILE}" if folder else LOCK_FILE
        self._generation, self._renewed = 0, 0.0
        self._ended, self._changing = Event(), Lock()

    def __enter__(self) -> Lease:
        before = time.monotonic()
        made = self._objects.put(self._path, self._content(), 0) or self._taken_over()
        if made is None:
            raise InfrastructureFault(
                "STORE_LOCKED",
                f"another process writes to {self._objects.root}{self._holder()}; wait for it to end, then "
                "run again. If it was killed, its lock ends by itself within ten minutes",
            )
        self._generation, self._renewed = made, before
        Thread(target=self._renew_often, name="cofferdam-lease", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        with self._changing:
            try:
                self._objects.delete_generation(self._path, self._generation)
            except CofferdamError:
                return  # it ends by itself

    def check(self) -> None:
        """Refuse to go on where somebody else may hold the lease by now.

        Raises:
            InfrastructureFault: With code ``STORE_LOCK_LOST``.
        """
        if time.monotonic() - self._renewed > TRUSTED:
            raise InfrastructureFault(
                "STORE_LOCK_LOST",
                f"the lock of {self._objects.root} could not be renewed in time, another process may hold "
                "it; nothing more was changed, run again",
            )

    def renew(self) -> bool:
        """Say that the holder lives; False where the lease is another's."""
        with self._changing:
            if self._ended.is_set():
                return False
            before = time.monotonic()
            made = self._objects.put(self._path, self._content(), self._generation)
            if made is None:
                self._renewed = -math.inf
                return False
            self._generation, self._renewed = made, before
            return True

    def _renew_often(self) -> None:
        while not self._ended.wait(RENEWED):
            try:
                if not self.renew():
                    return
            except CofferdamError:
                continue  # the service may answer the next time; until then the trust runs out

    def _taken_over(self) -> int | None:
        """The generation of a lease made in the place of one that has expired; None if it has not."""
        there = self._objects.look(self._path)
        if there is None:
            return self._objects.put(self._path, self._content(), 0)
        if (self._now() - there.updated).total_seconds() <= EXPIRES:
            return None
        return self._objects.put(self._path, self._content(), there.generation)

    def _now(self) -> Any:
        """The service's time: that of an object made for it, as clocks of machines differ."""
        path = f"{self._path}-time-{os.getpid()}-{time.monotonic_ns()}"
        generation = self._objects.put(path, b"", 0)
        updated = self._objects.look(path).updated
        self._objects.delete_generation(path, generation or 0)
        return updated

    def _content(self) -> bytes:
        holder = {"run_id": self._run_id, "pid": os.getpid(), "host": socket.gethostname()}
        return json.dumps(holder).encode()

    def _holder(self) -> str:
        try:
            return holder_told(self._objects.read(self._path))
        except CofferdamError:
            return ""
