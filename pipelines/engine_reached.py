"""Whether a job service can be asked, before anything is read or made for it: Beam waits minutes for one."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Final

import grpc
from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions
from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc

from pipelines.engines import runs_elsewhere
from schemas.errors import ConfigurationError, InfrastructureFault

_SECONDS_TO_CONNECT: Final = 5
_SECONDS_TO_ANSWER: Final = 20
_LAST_PORT: Final = 65535
_IN_PROCESS: Final = (None, "", "embed")


def refuse_unreachable(arguments: Sequence[str]) -> None:
    """Refuse a job service that is not there.

    Args:
        arguments: Options for Beam.

    Raises:
        ConfigurationError: ``--job_endpoint`` is no HOST:PORT (``JOB_ENDPOINT_INVALID``).
        InfrastructureFault: Nobody listens there, or something else does (``ENGINE_UNREACHABLE``).
    """
    endpoint = PipelineOptions(list(arguments)).view_as(PortableOptions).job_endpoint
    if endpoint in _IN_PROCESS or not runs_elsewhere(arguments):
        return
    address = _address(endpoint)
    try:
        socket.create_connection(address, timeout=_SECONDS_TO_CONNECT).close()
    except (OSError, UnicodeError):
        raise _unreachable(
            f"nobody listens at {endpoint} (--job_endpoint); start Beam's job service, or name its place"
        ) from None
    with grpc.insecure_channel(endpoint) as channel:
        service = beam_job_api_pb2_grpc.JobServiceStub(channel)
        asked = beam_job_api_pb2.DescribePipelineOptionsRequest()
        try:
            service.DescribePipelineOptions(asked, timeout=_SECONDS_TO_ANSWER)
        except grpc.RpcError:
            raise _unreachable(
                f"what listens at {endpoint} (--job_endpoint) does not answer as Beam's job service does; "
                "the engine's own ports, such as Flink's, are others"
            ) from None


def _address(endpoint: str) -> tuple[str, int]:
    host, _, port = endpoint.rpartition(":")
    if not host or "/" in host or not (port.isascii() and port.isdigit() and int(port) <= _LAST_PORT):
        raise ConfigurationError(
            "JOB_ENDPOINT_INVALID", "--job_endpoint is HOST:PORT of Beam's job service, like localhost:8099"
        )
    return host.strip("[]"), int(port)


def _unreachable(message: str) -> InfrastructureFault:
    return InfrastructureFault("ENGINE_UNREACHABLE", f"{message}. Nothing was read or written")


__all__ = ["refuse_unreachable"]
