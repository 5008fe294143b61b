"""A store on Google Cloud Storage: the same file operations, on objects under ``gs://BUCKET/FOLDER``.

What a local store gets from hard links and fsync, this one gets from the service: an object appears whole or
not at all, a precondition on its generation lets one of many make it, and a listing shows what was made
before it. A request whose answer was lost is sent again by the client library; so that the second one does
not take the first for somebody else's, each object that is made carries a random token of its writer.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import lru_cache
from typing import Any, Final

import pyarrow.fs as pafs

from schemas.errors import CofferdamError, ConfigurationError, InfrastructureFault
from transforms.store_cloud_arrow import ObjectHandler
from transforms.store_files import FoundFile, NewFile
from transforms.store_lease import Lease

SCHEME: Final = "gs://"
TOKEN: Final = "cofferdam-writer"  # noqa: S105 - the name of a metadata key
UPLOAD_CHUNK: Final = 8 << 20
"""Bytes of a part of an upload; a file that is smaller goes in one request."""
_ADDRESS: Final = re.compile(r"gs://([a-z0-9][a-z0-9._-]{1,220}[a-z0-9])(?:/(.*))?")
_FOLDER: Final = re.compile(r"(?!.*(^|/)\.\.?(/|$))[A-Za-z0-9_=.-]+(/[A-Za-z0-9_=.-]+)*")
_EMULATOR: Final = "STORAGE_EMULATOR_HOST"
_ABSENT, _PRECONDITION, _REFUSED = 404, 412, (401, 403)


def connect() -> Any:
    """A client of the service, with the credentials of the environment (``STORAGE_EMULATOR_HOST`` is obeyed).

    Raises:
        ConfigurationError: The client library is not installed (``STORE_NO_CLOUD``).
        InfrastructureFault: There are no credentials (``STORE_CLOUD_FAILED``).
    """
    try:
        from google.cloud import storage
    except ImportError:
        raise ConfigurationError(
            "STORE_NO_CLOUD",
            "the client of Cloud Storage is not installed; run `pip install 'cofferdam[gcp]'`",
        ) from None
    with faults("reach", "Cloud Storage"):
        return storage.Client()


@lru_cache(maxsize=4)
def _shared_client(process: int, emulator: str | None) -> Any:
    """One client a process: each new one would ask for new credentials, and a fork must not share sockets."""
    return connect()


@contextmanager
def faults(action: str, path: str) -> Iterator[None]:
    """Turn the client library's errors, which have no common base and may quote an answer, into ours."""
    try:
        yield
    except CofferdamError:
        raise
    except Exception as error:
        raise _fault_of(error, action, path) from None


def _fault_of(error: Exception, action: str, path: str) -> InfrastructureFault:
    status, name = _status(error), type(error).__name__
    if status == _ABSENT and action in ("read", "delete"):
        return InfrastructureFault(
            "STORE_FILE_MISSING", f"cannot {action} {path}: it is not there; restore it from a backup"
        )
    if status == _ABSENT:
        advice = "the bucket is not there; check the store's address"
    elif status in _REFUSED:
        advice = "check what the account may do with the bucket"
    else:
        advice = "check the network and the credentials, then run again"
    return InfrastructureFault("STORE_CLOUD_FAILED", f"cannot {action} {path} ({name}); {advice}")


def _status(error: Exception) -> int | None:
    code = getattr(error, "code", None)
    if code is None:  # an upload's errors carry the answer instead
        code = getattr(getattr(error, "response", None), "status_code", None)
    return code if isinstance(code, int) else None


class CloudFiles:
    """A store on Cloud Storage (implements ``StoreFiles``).

    Args:
        root: Its address, ``gs://BUCKET/FOLDER``.
        client: A ``google.cloud.storage.Client``; None to connect with the environment's credentials.

    Raises:
        ConfigurationError: It is no such address (``STORE_FILESYSTEM``), or the client library is not
            installed (``STORE_NO_CLOUD``).
    """

    def __init__(self, root: str, client: Any = None) -> None:
        found = _ADDRESS.fullmatch(root.rstrip("/"))
        if found is None or not _FOLDER.fullmatch(found[2] or "-"):
            raise ConfigurationError(
                "STORE_FILESYSTEM",
                "a store on Cloud Storage is named gs://BUCKET/FOLDER, the folder of A-Z, a-z, 0-9, _ = . -",
            )
        self.root = root.rstrip("/")
        self._prefix = f"{found[2]}/" if found[2] else ""
        self._bucket = (client or _shared_client(os.getpid(), os.environ.get(_EMULATOR))).bucket(found[1])
        self._leases: list[Lease] = []
        self._read: dict[str, int] = {}

    def create(self, path: str, content: bytes) -> bool:
        """Make an object on condition that it has no generation yet."""
        self._check_leases()
        return self.put(path, content, 0) is not None

    def replace(self, path: str, content: bytes) -> None:
        """Make an object in the place of the generation that is there, so that no request can land late.

        Raises:
            InfrastructureFault: Somebody else has replaced it meanwhile (``STORE_CHANGED``).
        """
        self._check_leases()
        there = self.look(path)
        if self.put(path, content, 0 if there is None else there.generation) is None:
            raise InfrastructureFault(
                "STORE_CHANGED", f"{path} was changed by another process meanwhile; run again"
            )

    def put(self, path: str, content: bytes, generation: int) -> int | None:
        """Make an object in the place of one generation of it (0: of none).

        Returns:
            The new generation; None where another one is there, and nothing was made.
        """
        blob, token = self._bucket.blob(self._prefix + path), secrets.token_hex(16)
        blob.metadata = {TOKEN: token}
        with faults("write", path):
            try:
                blob.upload_from_string(
                    content, "application/octet-stream", if_generation_match=generation, checksum="crc32c"
                )
            except Exception as error:
                if _status(error) != _PRECONDITION:
                    raise
                there = self.look(path)
                # A second try of ours comes too late for the first, which has succeeded unheard.
                return there.generation if there is not None and _token(there) == token else None
        return int(blob.generation)

    def look(self, path: str) -> Any:
        """What the service knows of an object: a ``Blob`` with generation, size and times; None for none."""
        with faults("read", path):
            return self._bucket.get_blob(self._prefix + path)

    def open_new(self, path: str) -> NewFile:
        """Begin an object, which appears when it is closed, and only if none is there then."""
        self._check_leases()
        return _CloudNewFile(self, path)

    def upload(self, path: str) -> Any:
        """A resumable upload of an object that must not be there: a file that is written to and closed."""
        with faults("write", path):
            return self._bucket.blob(self._prefix + path).open(
                "wb", chunk_size=UPLOAD_CHUNK, ignore_flush=True, if_generation_match=0, checksum="crc32c"
            )

    def read(self, path: str) -> bytes:
        """The bytes of an object, compared with its checksum."""
        with faults("read", path):
            content: bytes = self._bucket.blob(self._prefix + path).download_as_bytes(checksum="crc32c")
        return content

    def size(self, path: str) -> int | None:
        """Size of an object in bytes, or None where there is none."""
        there = self.look(path)
        return None if there is None else int(there.size)

    def find(self, folder: str) -> Iterator[FoundFile]:
        """Every object below a folder; folders that a console made as empty objects are none."""
        prefix = f"{self._prefix}{folder}/" if folder else self._prefix
        with faults("read", folder):
            for blob in self._bucket.list_blobs(prefix=prefix):
                if not blob.name.endswith("/"):
                    path = blob.name.removeprefix(self._prefix)
                    yield FoundFile(path, int(blob.size), blob.updated.timestamp())

    def is_occupied(self) -> bool:
        """Whether anything but hidden objects is below the folder."""
        return any(not found.path.startswith(".") for found in self.find(""))

    def delete(self, path: str) -> None:
        """Delete an object; one that is gone already is no error."""
        self._check_leases()
        with faults("delete", path):
            try:
                self._bucket.blob(self._prefix + path).delete()
            except Exception as error:
                if _status(error) != _ABSENT:
                    raise

    def delete_generation(self, path: str, generation: int) -> None:
        """Delete one generation of an object, and none that has come after it."""
        with faults("delete", path):
            self._bucket.blob(self._prefix + path).delete(if_generation_match=generation)

    def lock(self, run_id: str, folder: str = "") -> AbstractContextManager[None]:
        """Hold the lease of the store or of a folder of it; see ``store_lease``."""
        return self._leased(Lease(self, run_id, folder))

    @contextmanager
    def _leased(self, lease: Lease) -> Iterator[None]:
        with lease:
            self._leases.append(lease)
            try:
                yield
            finally:
                self._leases.remove(lease)

    def _check_leases(self) -> None:
        for lease in self._leases:
            lease.check()

    def arrow(self) -> pafs.FileSystem:
        """The store's folder as an Arrow filesystem, in which what was read once does not change any more."""
        return pafs.PyFileSystem(ObjectHandler(self.root, self._look_again, faults))

    def _look_again(self, path: str) -> Any:
        """An object, of the generation that was read before: what was compared with its digest is read."""
        with faults("read", path):
            there = self._bucket.get_blob(self._prefix + path, generation=self._read.get(path))
        if there is not None:
            self._read[path] = there.generation
        return there


def _token(blob: Any) -> str | None:
    return (blob.metadata or {}).get(TOKEN)


class _CloudNewFile:
    """An object on its way: in memory while it is small, else in parts of an upload that nobody sees."""

    def __init__(self, files: CloudFiles, path: str) -> None:
        self._files, self._path = files, path
        self._waiting = bytearray()
        self._upload: Any = None
        self._done = False

    def write(self, data: bytes) -> int:
        if self._upload is None:
            self._waiting += data
            if len(self._waiting) <= UPLOAD_CHUNK:
                return len(data)
            self._upload = self._files.upload(self._path)
            data, self._waiting = bytes(self._waiting), bytearray()
        with faults("write", self._path):
            self._upload.write(data)
        return len(data)

    def close(self) -> None:
        if self._upload is not None:
            with faults("write", self._path):
                self._upload.close()
        elif self._files.put(self._path, bytes(self._waiting), 0) is None:
            raise InfrastructureFault(
                "STORE_FILE_FAILED", f"cannot write {self._path}: it is there already; run again"
            )
        self._done = True

    def abandon(self) -> None:
        with suppress(Exception):  # an upload that cannot be cancelled is never seen, and expires in a week
            if self._upload is not None and not self._done:
                self._upload.terminate()
        if self._done:
            with suppress(CofferdamError):  # what cannot be deleted now stays unnamed, and gc deletes it
                self._files.delete(self._path)

    def __del__(self) -> None:
        # The library's upload completes an object when it is collected, however little of it was written.
        if not self._done:
            self.abandon()
