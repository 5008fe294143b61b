"""The graph of a release: what every worker is given whole, and what is joined by key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner

from pipelines.consent_registry import open_registry
from pipelines.release import build_release
from tests.pipeline.release_world import World
from transforms.keys import load_release_keys
from transforms.pseudonyms import join_pseudonyms
from transforms.release_rules import make_rules
from transforms.release_settings import ReleaseSettings

GIVEN_WHOLE = {
    "Records/Verify ownerless": "illegible records that may be a no of anybody",
    "Signals/Sort anywhere": "signals that name no meeting",
    "Records/Total": "count and sum of all records",
    "LookAgain/Look": "the same, later",
    "Decision/Decide": "files of decisions, for the second look",
    "Decision/Decide counts": "counts of a bundle",
    "DecideTelemetry/Decide": "files of decisions",
    "DecideTelemetry/Decide counts": "counts of a bundle",
    "OpenAndWrite/Open": "files of what was released",
    "OpenAndWrite/Open counts": "counts of a bundle",
    "OpenAndWrite/Place unplaced": "a number for a shard that lost something",
    "JudgeWritten/Total": "counts of findings",
    "LostTasks/Sum": "a number",
    "Logs": "files of decisions and of records that are new",
}
"""What some workers are given whole, and what it is: nothing of it grows with people, meetings or items."""


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> Any:
    """The pipeline as a runner sees it."""
    world = World(tmp_path_factory.mktemp("graph"), keys)
    request = world.options().request
    opened, side = open_registry(world.registry), load_release_keys(keys / "release")
    rules = make_rules(request, opened.registry, opened.policies, join_pseudonyms(side), allow_test_keys=True)
    settings = ReleaseSettings("store", "run", "", (str(world.consents),), str(world.registry))
    pipeline = beam.Pipeline(runner=FnApiRunner())
    build_release(pipeline, settings, rules, side)
    return pipeline.to_runner_api()


def given_whole(graph: Any) -> set[str]:
    """Which steps make what is a side input, under which tag; the two looks are named alike."""
    primitives = beam.portability.common_urns.primitives
    made: dict[str, tuple[str, str]] = {}
    for step in graph.components.transforms.values():
        if not step.subtransforms:
            made |= {collection: (step.unique_name, tag) for tag, collection in step.outputs.items()}
    found = set()
    for step in graph.components.transforms.values():
        if step.spec.urn == primitives.PAR_DO.urn:
            payload = beam_runner_api_pb2.ParDoPayload.FromString(step.spec.payload)
            for name in payload.side_inputs:
                maker, tag = made[step.inputs[name]]
                place = "/".join(maker.split("/")[:2]).removeprefix("First").removeprefix("Second")
                found.add(place if tag == "None" else f"{place} {tag}")
    return found


def test_no_worker_is_given_anything_whole_that_grows_with_people_or_items(graph: Any) -> None:
    assert given_whole(graph) == set(GIVEN_WHOLE)


def test_everything_about_items_people_and_meetings_is_joined_by_key(graph: Any) -> None:
    urn = beam.portability.common_urns.primitives.GROUP_BY_KEY.urn
    steps = [step.unique_name for step in graph.components.transforms.values() if step.spec.urn == urn]
    joins = {name.removeprefix("First").split("/CoGroupByKeyImpl")[0] for name in steps}
    assert joins >= {
        "Items/ByItem",
        "People/ByIdentifier",
        "People/ByPerson",
        "Decision/ByMeeting",
        "OpenAndWrite/ByKey",
        "OpenAndWrite/ByFile",
        "JudgeWritten/ByItem",
        "JudgeWritten/ByDecision",
    }
