"""What Beam's own runner for Dataflow makes of the pipelines, up to the request that it would send."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip(
    "apache_beam.runners.dataflow.internal.apiclient", reason="Beam's extra for Google Cloud is not installed"
)

from apache_beam.portability.api import beam_runner_api_pb2

from pipelines.beam_options import refuse_misspelt
from schemas.errors import ConfigurationError
from tests.pipeline.dataflow_graphs import (
    BUILDERS,
    DRAWN,
    GOLDENS,
    IMAGE,
    OPTIONS,
    PSEUDONYM,
    as_text,
    translated,
)
from tests.pipeline.release_world import World
from tests.pipeline.test_isolation import key_material, unpacked

LARGEST_STEP = 128 << 10
LARGEST_GRAPH = 1 << 20
"""The service takes graphs of up to 10 MB."""


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> dict[str, Any]:
    """The graph of each pipeline."""
    world = World(tmp_path_factory.mktemp("dataflow"), keys)
    return {name: translated(build, world) for name, build in BUILDERS.items()}


@pytest.mark.parametrize("name", BUILDERS)
def test_the_graph_is_the_golden_one(graphs: dict[str, Any], name: str) -> None:
    golden = (GOLDENS / f"dataflow_{name}.txt").read_text()
    assert as_text(graphs[name]) == golden, "if that is meant: python -m tests.pipeline.dataflow_graphs"


@pytest.mark.parametrize("name", BUILDERS)
def test_everything_that_travels_is_small(graphs: dict[str, Any], name: str) -> None:
    graph = graphs[name]
    assert len(graph.SerializeToString()) < LARGEST_GRAPH
    large = {
        step.unique_name: len(step.spec.payload)
        for step in graph.components.transforms.values()
        if len(step.spec.payload) > LARGEST_STEP
    }
    assert large == {}


@pytest.mark.parametrize("name", BUILDERS)
def test_no_key_travels(graphs: dict[str, Any], name: str, keys: Path) -> None:
    secret = key_material(keys)
    pickled = list(unpacked(graphs[name].SerializeToString()))
    assert len(pickled) > 10
    assert [key for key, material in secret.items() if any(material in one for one in pickled)] == []


def test_whom_an_erasure_is_about_does_not_travel(graphs: dict[str, Any]) -> None:
    pickled = list(unpacked(graphs["erase"].SerializeToString()))
    assert any(b"roster/run-0.parquet" in one for one in pickled)
    assert not [one for one in pickled if PSEUDONYM.encode() in one or DRAWN in one]


@pytest.mark.parametrize("name", BUILDERS)
def test_workers_are_of_the_image_and_install_nothing(graphs: dict[str, Any], name: str) -> None:
    environments = graphs[name].components.environments.values()
    images = {
        beam_runner_api_pb2.DockerPayload.FromString(one.payload).container_image for one in environments
    }
    assert images == {IMAGE}
    staged = {artifact.role_payload[2:].decode() for one in environments for artifact in one.dependencies}
    # What the launching script has at its top level, which is nothing, and a list for people to look at.
    assert staged <= {"pickled_main_session", "submission_environment_dependencies.txt"}


def test_names_of_steps_are_unique(graphs: dict[str, Any]) -> None:
    for graph in graphs.values():
        names = [step.unique_name for step in graph.components.transforms.values()]
        assert len(set(names)) == len(names)


def test_options_of_a_launch_are_known() -> None:
    refuse_misspelt([*OPTIONS, "--machine_type=n2-standard-4", "--max_num_workers=50"])


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ([*OPTIONS, "--machine_tipe=n2-standard-4"], "UNKNOWN_OPTION"),
        ([*OPTIONS, "--max_num_workers=many"], "BEAM_OPTION_INVALID"),
        ([*OPTIONS, "--job_name=Not A Name"], "BEAM_OPTION_INVALID"),
        ([*OPTIONS, "--direct_num_workers=2"], "BEAM_OPTION_INVALID"),
        ([option for option in OPTIONS if "project" not in option.split("=")[0]], "BEAM_OPTION_INVALID"),
        ([option for option in OPTIONS if "region" not in option], "BEAM_OPTION_INVALID"),
        ([option for option in OPTIONS if "temp_location" not in option], "BEAM_OPTION_INVALID"),
        ([*OPTIONS, "--temp_location=/tmp"], "BEAM_OPTION_INVALID"),
    ],
)
def test_what_dataflow_would_not_take_is_refused_before_anything_is_made(
    options: list[str], code: str
) -> None:
    with pytest.raises(ConfigurationError, match=code):
        refuse_misspelt(options)
