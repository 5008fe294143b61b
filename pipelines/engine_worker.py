"""A Python worker of an engine that starts its workers as processes: what Beam's container does, without one.

Flink's task managers start ``deploy/flink/worker``, which starts this module. The words that they give it are
Beam's container contract, and so are the variables in which Beam's own worker looks for them.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import grpc
from apache_beam.portability.api import beam_provision_api_pb2 as provision
from apache_beam.portability.api import beam_provision_api_pb2_grpc as provision_grpc
from apache_beam.portability.api import endpoints_pb2
from apache_beam.runners.worker import sdk_worker_main
from google.protobuf import json_format, text_format

_SECONDS_TO_ANSWER = 60


def main(arguments: Sequence[str]) -> None:
    """Ask the engine how the job was launched, and work for it until it closes the connection.

    Args:
        arguments: The words of Beam's container contract.
    """
    options = _options(arguments)
    info = _asked(options.provision_endpoint, options.id)
    os.environ |= environment(options, info)
    sdk_worker_main.main([])


def environment(options: argparse.Namespace, info: provision.ProvisionInfo) -> dict[str, str]:
    """The variables in which Beam's worker looks for what it needs.

    Args:
        options: What the engine has given; an endpoint that it has not given is asked for.
        info: What the engine says of the job.
    """
    control = options.control_endpoint or info.control_endpoint.url
    logging = options.logging_endpoint or info.logging_endpoint.url
    return {
        "WORKER_ID": options.id,
        "PIPELINE_OPTIONS": json_format.MessageToJson(info.pipeline_options),
        "CONTROL_API_SERVICE_DESCRIPTOR": _descriptor(control),
        "LOGGING_API_SERVICE_DESCRIPTOR": _descriptor(logging),
        "RUNNER_CAPABILITIES": " ".join(info.runner_capabilities),
    }


def _descriptor(url: str) -> str:
    return text_format.MessageToString(endpoints_pb2.ApiServiceDescriptor(url=url))


def _asked(endpoint: str, worker: str) -> provision.ProvisionInfo:
    with grpc.insecure_channel(endpoint) as channel:
        service = provision_grpc.ProvisionServiceStub(channel)
        asked = provision.GetProvisionInfoRequest()
        return service.GetProvisionInfo(
            asked, metadata=[("worker_id", worker)], timeout=_SECONDS_TO_ANSWER
        ).info


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--id", required=True)
    parser.add_argument("--provision_endpoint", required=True)
    for name in ("control", "logging", "artifact"):
        parser.add_argument(f"--{name}_endpoint", default="")
    options, _ = parser.parse_known_args(list(arguments))
    return options


if __name__ == "__main__":
    main(sys.argv[1:])
