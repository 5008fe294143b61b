"""The graphs of run, release and erase as Beam's runner for Dataflow hands them over, without the service.

    .venv-gcp/bin/python -m tests.pipeline.dataflow_graphs

writes them as text beside this file, for the tests to compare with.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2

from pipelines.consent_registry import open_registry
from pipelines.erase import build_due, build_erase
from pipelines.ingest import build_ingest
from pipelines.release import build_release
from schemas.contract import load_contracts
from schemas.tables import ROSTER
from tests.pipeline.release_world import AS_OF, World
from transforms.commit_run import RunSettings
from transforms.erase_commit import ErasureSettings
from transforms.erase_reach import Space
from transforms.erase_rows import Edit
from transforms.keys import create_key_directory, load_ingest_keys, load_release_keys
from transforms.pseudonyms import join_pseudonyms
from transforms.release_rules import ReleaseRequest, make_rules
from transforms.release_settings import ReleaseSettings

GOLDENS = Path(__file__).parent / "goldens"
IMAGE = "europe-docker.pkg.dev/project-1/images/cofferdam:1"
OPTIONS = (
    "--runner=DataflowRunner",
    "--project=project-1",
    "--region=europe-west1",
    "--temp_location=gs://bucket-1/temp",
    "--staging_location=gs://bucket-1/staging",
    f"--sdk_container_image={IMAGE}",
    "--sdk_location=container",
    "--service_account_email=ingest@project-1.iam.gserviceaccount.com",
    "--job_name=golden",
)
STORE = "gs://bucket-1/store"
PSEUDONYM = "0123456789abcdef" * 4
DRAWN = b"what nobody keeps, of 32 bytes .."


def build_run(pipeline: beam.Pipeline, world: World) -> None:
    """Put ``cofferdam run`` together."""
    settings = RunSettings(STORE, "run-000001", "", "auto", date(2026, 3, 2))
    keys = load_ingest_keys(world.keys / "ingest")
    build_ingest(pipeline, ["gs://bucket-1/events"], settings, load_contracts(), keys, 64 << 20)


def build_gate(pipeline: beam.Pipeline, world: World) -> None:
    """Put ``cofferdam release`` together."""
    request, side = world.options().request, load_release_keys(world.keys / "release")
    opened = open_registry(world.registry)
    rules = make_rules(request, opened.registry, opened.policies, join_pseudonyms(side), allow_test_keys=True)
    build_release(pipeline, _settings(), rules, side)


def build_due_gate(pipeline: beam.Pipeline, world: World) -> None:
    """Put the first pipeline of ``cofferdam erase --all-due`` together."""
    opened, side = open_registry(world.registry), load_release_keys(world.keys / "release")
    request = ReleaseRequest(tuple(sorted(opened.registry.purposes)), "first_party", AS_OF)
    rules = make_rules(request, opened.registry, opened.policies, join_pseudonyms(side), allow_test_keys=True)
    build_due(pipeline, _settings(), f"{STORE}/.erasing/run", rules, side)


def build_erasure(pipeline: beam.Pipeline, world: World) -> None:
    """Put the pipeline of ``cofferdam erase`` together that rewrites."""
    space = Space(people=frozenset([PSEUDONYM]))
    edits = [Edit("roster/run-0.parquet", ROSTER, space, secret=DRAWN, gone=3, changed=1)]
    settings, kept = ErasureSettings(STORE, "run-000001", ""), [".erasing/run-000001-edits-000000"]
    side = load_release_keys(world.keys / "release")
    build_erase(pipeline, settings, edits, (), {"kind": "erasure"}, side, kept)


def _settings() -> ReleaseSettings:
    return ReleaseSettings(STORE, "run", "", ("gs://bucket-1/consents",), "gs://bucket-1/registry")


BUILDERS: dict[str, Callable[[beam.Pipeline, World], None]] = {
    "run": build_run,
    "release": build_gate,
    "erase_due": build_due_gate,
    "erase": build_erasure,
}


def translated(build: Callable[[beam.Pipeline, World], None], world: World) -> Any:
    """The graph that would be sent: Beam's own translation, checks and overrides, and no request."""
    options = PipelineOptions([*OPTIONS, "--dry_run=True"])
    pipeline = beam.Pipeline(runner="DataflowRunner", options=options)
    build(pipeline, world)
    pipeline.run()
    runner: Any = pipeline.runner
    return runner.proto_pipeline


def as_text(graph: Any) -> str:
    """Steps by name: their kind, what they are given whole, and the coder of each output."""
    steps = [step for step in graph.components.transforms.values() if not step.subtransforms and step.outputs]
    return "".join(sorted(_step(graph, step) for step in steps))


def _step(graph: Any, step: Any) -> str:
    kind = step.spec.urn.removeprefix("beam:transform:") or "composite"
    lines = [f"{_stable(step.unique_name)} [{kind}]"]
    if step.spec.urn == common_urns.primitives.PAR_DO.urn:
        payload = beam_runner_api_pb2.ParDoPayload.FromString(step.spec.payload)
        made = _makers(graph)
        lines += sorted(f"  given whole: {made[step.inputs[name]]}" for name in payload.side_inputs)
    for tag, collection in sorted(step.outputs.items()):
        lines.append(f"  {tag}: {_coder(graph, graph.components.pcollections[collection].coder_id)}")
    return "\n".join(lines) + "\n"


def _makers(graph: Any) -> dict[str, str]:
    return {
        collection: _stable(step.unique_name)
        for step in graph.components.transforms.values()
        if not step.subtransforms
        for collection in step.outputs.values()
    }


def _coder(graph: Any, coder_id: str) -> str:
    coder = graph.components.coders[coder_id]
    inside = [_coder(graph, component) for component in coder.component_coder_ids]
    name = coder.spec.urn.removeprefix("beam:coder:")
    return f"{name}({', '.join(inside)})" if inside else name


def _stable(name: str) -> str:
    return re.sub(r"<lambda at [^>]*>", "<lambda>", name)


def write_goldens() -> None:
    """Write what the graphs are now."""
    with tempfile.TemporaryDirectory() as folder:
        keys = Path(folder) / "K"
        create_key_directory(keys, created=date(2026, 3, 2))
        world = World(Path(folder) / "world", keys)
        for name, build in BUILDERS.items():
            (GOLDENS / f"dataflow_{name}.txt").write_text(as_text(translated(build, world)))


if __name__ == "__main__":
    write_goldens()
