"""``cofferdam erase`` as a command: what it prints, and how it ends."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pipelines import erase_ledger
from pipelines.cli import cli
from tests.pipeline.release_world import AS_OF, World, meeting
from tests.pipeline.test_erase import ADA, files_of


@pytest.fixture
def world(tmp_path: Path, keys: Path) -> World:
    made = World(tmp_path, keys)
    made.adults("ada", "bob")
    made.ingest(meeting(["ada", "bob"], items=2))
    return made


def run(world: World, *more: str, **changes: str) -> Result:
    options = {
        "store": world.store,
        "keys": world.keys / "release",
        "consents": world.consents.parent,
        "registry": world.registry,
        "as-of": AS_OF,
        **changes,
    }
    given = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return CliRunner().invoke(cli, ["erase", *given, "--allow-test-keys", *more])


def test_it_shows_then_stops_then_erases(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    before = files_of(world)
    shown = run(world, "--subject", ADA, "--dry-run")
    assert (shown.exit_code, "What would go" in shown.output) == (0, True), shown.output
    assert "checkpoint" not in shown.output
    assert "checkpoint" not in json.loads(run(world, "--subject", ADA, "--dry-run", "--json").stdout)
    stopped = run(world, "--subject", ADA)
    assert (stopped.exit_code, "ERASES_TOO_MUCH" in stopped.stderr) == (4, True)
    assert files_of(world) == before
    done = run(world, "--subject", ADA, "--max-share", "100")
    assert done.exit_code == 0, done.stderr
    assert "Keep this checkpoint" in done.output
    for words in (
        "What went",
        "0 opened; 0 erased rows present; 0 replaced files left",
        "ERASURE_REQUESTED: 2",
    ):
        assert words in " ".join(done.output.split())
    monkeypatch.setattr(erase_ledger, "unreached_in", lambda store: ["speakers name"])
    again = run(world, "--subject", ADA, "--json")
    assert (again.exit_code, "ERASURE_NOT_COVERED" in again.stderr, "speakers name" in again.stderr) == (
        1,
        True,
        True,
    )
    assert json.loads(again.stdout)["items"] == 0
    assert json.loads(again.stdout)["unregistered"] == 0
    for output in (shown, stopped, done, again):
        # Ids and signatures spell any short word by chance.
        words_left = re.sub(r"[0-9a-f]{8,}|[A-Za-z0-9+/]{40,}", "", output.output)
        assert "ada" not in words_left.replace(str(world.folder), "")


def test_a_subject_that_the_registry_does_not_have_is_said(world: World) -> None:
    missed = run(world, "--subject", "email:nobody@example.org", "--dry-run")
    assert missed.exit_code == 0, missed.stderr
    assert "1 subject is not in the registry" in missed.stdout
    assert "nobody@" not in missed.output
    assert "TYPE; there are" not in missed.output
    mistyped = run(world, "--subject", "mail:nobody@example.org", "--dry-run")
    assert mistyped.exit_code == 0, mistyped.stderr
    assert (
        "No contract finds anybody under such a TYPE; there are: cofferdam.user_id, email" in mistyped.stdout
    )


@pytest.mark.parametrize(
    ("more", "changes", "code", "word"),
    [
        ((), {}, 2, "--subject"),
        (("--subject", "ada"), {}, 2, "SUBJECT_INVALID"),
        (("--all-due", "--dry-rum"), {}, 2, "dry-rum"),
        (("--all-due", "--registry-signer", "somebody-else"), {}, 2, "REGISTRY_SIGN"),
        (("--all-due",), {"as-of": "soon"}, 2, "AS_OF_INVALID"),
        (("--all-due",), {"store": "nowhere"}, 2, "STORE_NOT_FOUND"),
        (("--all-due",), {"registry": "nowhere"}, 3, "REGISTRY_UNREADABLE"),
        (("--all-due",), {"consents": "nowhere"}, 3, "CONSENTS_UNREADABLE"),
        (("--all-due",), {"keys": "nowhere"}, 3, "KEYS"),
    ],
)
def test_what_cannot_be_used_stops_it(
    world: World, more: tuple[str, ...], changes: dict[str, str], code: int, word: str
) -> None:
    before = files_of(world)
    result = run(world, *more, **changes)
    assert (result.exit_code, word in result.stderr) == (code, True), result.stderr
    assert files_of(world) == before
