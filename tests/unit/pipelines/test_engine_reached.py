"""A job service that is not there is told in seconds, before anything is read or made for it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import grpc
import pytest
from apache_beam.portability.api import beam_job_api_pb2_grpc
from apache_beam.runners.portability.local_job_service import LocalJobServicer

from pipelines.engine_reached import refuse_unreachable
from schemas.errors import CofferdamError, ConfigurationError, InfrastructureFault


def asked(endpoint: str) -> None:
    refuse_unreachable(("--runner", "PortableRunner", "--job_endpoint", endpoint))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port: int = held.getsockname()[1]
    return port


@contextmanager
def web_server() -> Iterator[int]:
    """Something that listens and is no job service, as Flink's own port is."""
    server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def job_service() -> Iterator[int]:
    server = grpc.server(futures.ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    beam_job_api_pb2_grpc.add_JobServiceServicer_to_server(LocalJobServicer(), server)
    server.start()
    try:
        yield port
    finally:
        server.stop(0).wait()


def test_a_job_service_is_taken() -> None:
    with job_service() as port:
        asked(f"127.0.0.1:{port}")
        asked(f"localhost:{port}")


def test_nobody_who_listens_is_told_at_once() -> None:
    started = time.monotonic()
    with pytest.raises(InfrastructureFault, match="ENGINE_UNREACHABLE: nobody listens at 127"):
        asked(f"127.0.0.1:{free_port()}")
    assert time.monotonic() - started < 5


def test_a_port_of_something_else_is_told() -> None:
    with (
        web_server() as port,
        pytest.raises(InfrastructureFault, match="does not answer as Beam's job service"),
    ):
        asked(f"127.0.0.1:{port}")


@pytest.mark.parametrize(
    "endpoint",
    ["localhost", "8099", ":8099", "localhost:", "localhost:x", "localhost:65536", "http://h:1", "h:²"],
)
def test_what_is_no_host_and_port_is_refused(endpoint: str) -> None:
    with pytest.raises(ConfigurationError, match="JOB_ENDPOINT_INVALID"):
        asked(endpoint)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 70 + ".invalid", "[::1]", "ä..b"])
def test_no_host_ends_otherwise_than_by_being_told(host: str) -> None:
    with pytest.raises(CofferdamError, match="ENGINE_UNREACHABLE"):
        asked(f"{host}:{free_port()}")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--runner", "FlinkRunner"),
        ("--runner", "PortableRunner", "--job_endpoint", "embed"),
        ("--job_endpoint", "localhost:1"),
    ],
)
def test_who_needs_no_job_service_is_not_asked_for_one(arguments: tuple[str, ...]) -> None:
    refuse_unreachable(arguments)
