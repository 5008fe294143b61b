"""The Python worker that an engine starts as a process."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
import pytest
from apache_beam.portability.api import beam_provision_api_pb2 as provision
from apache_beam.portability.api import beam_provision_api_pb2_grpc as provision_grpc
from apache_beam.runners.worker import sdk_worker_main

from pipelines import engine_worker


class Engine(provision_grpc.ProvisionServiceServicer):
    """What an engine says of a job to whoever says that he is its worker."""

    def GetProvisionInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
        assert ("worker_id", "3-1") in context.invocation_metadata()
        info = provision.ProvisionInfo(runner_capabilities=["a:b", "c:d"])
        info.pipeline_options.update({"beam:option:experiments:v1": ["use_nothing"]})
        info.control_endpoint.url = "there:1"
        info.logging_endpoint.url = "there:2"
        return provision.GetProvisionInfoResponse(info=info)


@pytest.fixture
def engine() -> Iterator[str]:
    server = grpc.server(futures.ThreadPoolExecutor(1))
    provision_grpc.add_ProvisionServiceServicer_to_server(Engine(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None)


def told(engine: str, monkeypatch: pytest.MonkeyPatch, *more: str) -> dict[str, str]:
    seen: dict[str, str] = {}
    surroundings = {"PATH": "/bin"}
    monkeypatch.setattr(os, "environ", surroundings)
    monkeypatch.setattr(sdk_worker_main, "main", lambda _: seen.update(surroundings))
    engine_worker.main(["--id=3-1", f"--provision_endpoint={engine}", *more])
    return seen


def test_it_works_for_the_job_that_the_engine_names(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = told(engine, monkeypatch, "--control_endpoint=here:1", "--logging_endpoint=here:2")
    assert seen["WORKER_ID"] == "3-1"
    assert json.loads(seen["PIPELINE_OPTIONS"]) == {"beam:option:experiments:v1": ["use_nothing"]}
    assert seen["CONTROL_API_SERVICE_DESCRIPTOR"] == 'url: "here:1"\n'
    assert seen["LOGGING_API_SERVICE_DESCRIPTOR"] == 'url: "here:2"\n'
    assert seen["RUNNER_CAPABILITIES"] == "a:b c:d"


def test_it_asks_for_endpoints_that_it_was_not_given(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = told(engine, monkeypatch, "--artifact_endpoint=elsewhere:1", "--what=ever")
    assert seen["CONTROL_API_SERVICE_DESCRIPTOR"] == 'url: "there:1"\n'
    assert seen["LOGGING_API_SERVICE_DESCRIPTOR"] == 'url: "there:2"\n'
