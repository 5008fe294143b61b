"""A stand-in for Cloud Storage: the part of its JSON interface that a store uses, over real HTTP.

It keeps objects in memory and honours preconditions on generations, as the service does and as one popular
emulator does not. It lists in pages of three. An upload that was not finished is seen nowhere. What it does
wrong, tests against another emulator that speaks the same protocol may show (``fake-gcs-server``).
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import google_crc32c

PAGE = 3


@dataclass
class StoredObject:
    """One generation of an object."""

    name: str
    content: bytes
    generation: int
    metadata: dict[str, str]
    updated: datetime
    encoding: str | None = None

    def described(self) -> dict[str, Any]:
        """The object as the interface describes it."""
        return {
            "kind": "storage#object",
            "bucket": "b",
            "name": self.name,
            "generation": str(self.generation),
            "size": str(len(self.content)),
            "metadata": self.metadata,
            "crc32c": checksum(self.content),
            "updated": self.updated.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            **({"contentEncoding": self.encoding} if self.encoding else {}),
        }


def checksum(content: bytes) -> str:
    """CRC32C as the service writes it."""
    return base64.b64encode(google_crc32c.Checksum(content).digest()).decode()


@dataclass
class CloudStorage:
    """The service's state, and what it was asked.

    Attributes:
        objects: Objects by name.
        uploads: Uploads under way: name, precondition, what has arrived.
        finished: Answers to the last parts of uploads.
        calls: The rights that each request would have needed, in order.
        lose: Answers to lose after the work was done, by method.
        ahead: How far the service's clock is ahead.
    """

    objects: dict[str, StoredObject] = field(default_factory=dict)
    uploads: dict[str, tuple[dict[str, Any], str | None, bytearray]] = field(default_factory=dict)
    finished: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    lose: list[str] = field(default_factory=list)
    ahead: timedelta = timedelta()
    generation: int = 1000
    lock: threading.RLock = field(default_factory=threading.RLock)

    def store(self, said: dict[str, Any], condition: str | None, content: bytes) -> StoredObject | None:
        """Make a generation of an object, unless its precondition does not hold."""
        name = said["name"]
        there = self.objects.get(name)
        self.calls.append(("storage.objects.create", name))
        if condition is not None and int(condition) != (there.generation if there else 0):
            return None
        if there:  # replacing needs the right to delete, too
            self.calls.append(("storage.objects.delete", name))
        self.generation += 1
        made = StoredObject(
            name,
            content,
            self.generation,
            said.get("metadata") or {},
            datetime.now(UTC) + self.ahead,
            said.get("contentEncoding"),
        )
        self.objects[name] = made
        return made


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    service: CloudStorage

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def _answer(self, status: int, said: Any = None, headers: dict[str, str] | None = None) -> None:
        if self.command in self.service.lose:
            self.service.lose.remove(self.command)
            self.close_connection = True
            self.connection.close()
            return
        body = said if isinstance(said, bytes) else json.dumps(said or {}).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _asked(self) -> tuple[str, dict[str, str]]:
        parts = urlsplit(self.path)
        return parts.path, {key: values[0] for key, values in parse_qs(parts.query).items()}

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _object(self, path: str) -> StoredObject | None:
        return self.service.objects.get(unquote(path.split("/o/", 1)[1]))

    def do_POST(self) -> None:
        path, asked = self._asked()
        with self.service.lock:
            if asked["uploadType"] == "resumable":
                said, number = (
                    json.loads(self._body()),
                    str(len(self.service.uploads) + len(self.service.finished)),
                )
                self.service.uploads[number] = (said, asked.get("ifGenerationMatch"), bytearray())
                host = self.headers["Host"]
                self._answer(200, headers={"Location": f"http://{host}{path}?upload_id={number}"})
                return
            boundary = re.search(r'boundary="?([^";]+)', self.headers["Content-Type"])
            assert boundary is not None
            _, first, second, _ = self._body().split(b"--" + boundary[1].encode())
            said = json.loads(first.split(b"\r\n\r\n", 1)[1])
            content = second.split(b"\r\n\r\n", 1)[1][:-2]
            self._stored(said, asked.get("ifGenerationMatch"), content)

    def _stored(self, said: dict[str, Any], condition: str | None, content: bytes, number: str = "") -> None:
        if said.get("crc32c", checksum(content)) != checksum(content):
            self._answer(400, {"error": {"message": "checksum"}})
            return
        made = self.service.store(said, condition, content)
        if made is None:
            self._answer(412, {"error": {"message": "precondition"}})
            return
        self.service.finished[number] = made.described()
        self._answer(200, made.described())

    def do_PUT(self) -> None:
        _, asked = self._asked()
        with self.service.lock:
            number, part = asked["upload_id"], self._body()
            if number in self.service.finished:  # the answer to the last part was lost
                self._answer(200, self.service.finished[number])
                return
            said, condition, arrived = self.service.uploads[number]
            arrived += part
            if self.headers["Content-Range"].endswith("/*"):
                self._answer(308, headers={"Range": f"bytes=0-{len(arrived) - 1}"})
                return
            del self.service.uploads[number]
            self._stored(said, condition, bytes(arrived), number)

    def do_GET(self) -> None:
        path, asked = self._asked()
        with self.service.lock:
            if "/o/" not in path:
                self._listed(asked)
                return
            self.service.calls.append(("storage.objects.get", unquote(path.split("/o/", 1)[1])))
            found = self._object(path)
            if found is None or asked.get("generation", str(found.generation)) != str(found.generation):
                self._answer(404, {"error": {"message": "No such object"}})
            elif asked.get("alt") != "media":
                self._answer(200, found.described())
            else:
                self._content(found)

    def _content(self, found: StoredObject) -> None:
        content, whole = found.content, len(found.content)
        headers = {"X-Goog-Hash": f"crc32c={checksum(content)}", "X-Goog-Generation": str(found.generation)}
        if found.encoding == "gzip":  # the service unpacks it, and then disregards ranges
            self._answer(200, gzip.decompress(content), headers)
            return
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if wanted is None:
            self._answer(200, content, headers)
            return
        start, end = int(wanted[1]), min(int(wanted[2] or whole), whole - 1)
        if start >= whole:
            self._answer(416)
            return
        headers["Content-Range"] = f"bytes {start}-{end}/{whole}"
        self._answer(206, content[start : end + 1], headers)

    def _listed(self, asked: dict[str, str]) -> None:
        self.service.calls.append(("storage.objects.list", asked.get("prefix", "")))
        names = sorted(name for name in self.service.objects if name.startswith(asked.get("prefix", "")))
        names = [name for name in names if name > asked.get("pageToken", "")]
        said: dict[str, Any] = {"items": [self.service.objects[name].described() for name in names[:PAGE]]}
        if names[PAGE:]:
            said["nextPageToken"] = names[PAGE - 1]
        self._answer(200, said)

    def do_DELETE(self) -> None:
        path, asked = self._asked()
        with self.service.lock:
            if "upload_id" in asked:
                self.service.uploads.pop(asked["upload_id"], None)
                self._answer(499)
                return
            if "/o/" not in path:  # with this the client library means to cancel an upload
                self._answer(404, {"error": {"message": "Not found"}})
                return
            found = self._object(path)
            self.service.calls.append(("storage.objects.delete", unquote(path.split("/o/", 1)[1])))
            if found is None:
                self._answer(404, {"error": {"message": "No such object"}})
            elif asked.get("ifGenerationMatch", str(found.generation)) != str(found.generation):
                self._answer(412, {"error": {"message": "precondition"}})
            else:
                del self.service.objects[found.name]
                self._answer(204, b"")


@contextmanager
def cloud_storage() -> Iterator[tuple[str, CloudStorage]]:
    """Run the stand-in in threads of this process: its address and its state."""
    service = CloudStorage()
    handler = type("Handler", (_Handler,), {"service": service})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", service
    finally:
        server.shutdown()
        server.server_close()
