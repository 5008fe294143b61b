"""Over the events of whole platforms, nobody's archive holds what is anybody else's."""

from __future__ import annotations

import json
import zipfile
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipelines import run_subject_export as exporting
from pipelines.cli import cli
from pipelines.run_subject_export import SubjectOptions, run_subject_export
from schemas.contract import load_contracts
from schemas.tables import QUARANTINE_BLOBS
from tests.pipeline.support import ingest, opened
from transforms.keys import load_release_keys
from transforms.pseudonyms import join_pseudonyms
from transforms.store import Store

PEOPLE = 6
TELLING = 8
"""Shortest value (bytes) that tells of somebody; shorter ones stand everywhere."""


@dataclass
class Platform:
    """A store of generated events, and what in it is whose.

    Attributes:
        folder: Where it lies.
        keys: Its keys.
        people: Identifiers (type, value) of each registered person.
        names: Their join pseudonyms.
        sent: Sealed values by the join pseudonym of their sender.
    """

    folder: Path
    keys: Path
    people: dict[str, set[tuple[str, str]]] = field(default_factory=lambda: defaultdict(set))
    names: dict[str, set[str]] = field(default_factory=dict)
    sent: dict[str | None, set[bytes]] = field(default_factory=lambda: defaultdict(set))


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> Platform:
    made = Platform(tmp_path_factory.mktemp("platform"), keys)
    words = ["generate", "--events", "500", "--seed", "1", "--output", str(made.folder / "made")]
    assert CliRunner().invoke(cli, words).exit_code == 0
    ingest(made.folder / "made" / "events", made.folder / "store", keys)
    join = join_pseudonyms(load_release_keys(keys / "release"))
    for line in (made.folder / "made" / "registry" / "subjects.jsonl").read_text().splitlines():
        entry = json.loads(line)
        made.people[entry["person"]] |= {(each["type"], each["value"]) for each in entry["identifiers"]}
    for person, known in made.people.items():
        made.names[person] = {join.pseudonym(value, identifier_type=kind) for kind, value in known}
    inside = opened(made.folder / "store", keys).items
    for blob in Store.open(made.folder / "store").read_table(QUARANTINE_BLOBS).to_pylist():
        packed = blob["item_ids"].hex()
        for item in (packed[at : at + 32] for at in range(0, len(packed), 32)):
            made.sent[blob["sender"]].update(value for _, value in inside.get(item, ()))
    return made


def archive_of(platform: Platform, person: str, output: Path) -> bytes:
    kind, value = sorted(platform.people[person])[0]
    made = platform.folder / "made"
    asked = SubjectOptions(
        store=str(platform.folder / "store"),
        keys=platform.keys / "release",
        consents=(made / "consents",),
        registry=made / "registry",
        subject=f"{kind}:{value}",
        as_of="2026-06-01T00:00:00Z",
        output=output,
        allow_test_keys=True,
    )
    run_subject_export(asked)
    with zipfile.ZipFile(output) as file:
        return b"\n".join(file.read(name) for name in file.namelist())


def test_nobodys_archive_holds_what_is_anybody_elses(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "load_contracts", cache(lambda _: load_contracts()))
    monkeypatch.setattr(exporting, "contract_files", lambda _: None)
    talkative = sorted(platform.people, key=lambda one: -_sent_by(platform, one))[:PEOPLE]
    own_found = 0
    for number, person in enumerate(talkative):
        archive = archive_of(platform, person, tmp_path / f"{number}.zip")
        own = _values(platform, platform.names[person])
        own_found += sum(value in archive for value in own)
        strange = _values(platform, set(platform.sent) - platform.names[person]) - own
        assert not [value for value in strange if len(value) >= TELLING and value in archive]
        for other in set(platform.people) - {person}:
            told = {value for _, value in platform.people[other] - platform.people[person]}
            told |= platform.names[other] - platform.names[person]
            assert not [each for each in told if len(each) >= TELLING and each.encode() in archive]
    assert own_found > PEOPLE, "their own is there"


def _values(platform: Platform, senders: set[str | None] | set[str]) -> set[bytes]:
    return {value for sender in senders for value in platform.sent.get(sender, ())}


def _sent_by(platform: Platform, person: str) -> int:
    return len(_values(platform, platform.names[person]))
