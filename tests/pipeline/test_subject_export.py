"""A person gets what is held about them, and nothing of anybody else."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pipelines import run_subject_export as exporting
from pipelines import subject_archive
from pipelines.cli import cli
from pipelines.run_erase import EraseOptions, run_erase
from pipelines.run_subject_export import SubjectOptions, run_subject_export
from schemas.contract import load_contracts
from schemas.errors import CofferdamError, ConfigurationError, InfrastructureFault
from schemas.tables import OPENINGS, QUARANTINE_ITEMS
from tests.pipeline.release_world import AS_OF, World, bounds, chat, event, meeting, presence
from tests.pipeline.test_erase import names_of
from transforms import subject_content
from transforms.audit_verify import verify_log
from transforms.erase_orders import Order, finish_orders, write_order
from transforms.erase_reach import Identifier
from transforms.keys import load_release_keys
from transforms.opening_warrants import check_warrant, warrant_of_row
from transforms.sealed_format import KeyRow
from transforms.store import Store

ADA = "cofferdam.user_id:ada"
OTHERS = ("canary-bob", "Bob Secretly", "bob@private.example", "canary-eve", "canary-recipient")
"""What Bob and Eve have said and are called; nothing of it may reach Ada."""

OWN = ("canary-ada-chat", "canary-ada-audio", "Ada Lovelace", "ada@own.example", "canary-laptop")
CLOSED = ("canary-screen", "canary-title", "canary-unknown", "canary-summary", "canary-passcode")
"""What Ada has sent and others may be in, or that is a secret."""


def events() -> list[Any]:
    ada = {"user_id": "ada", "display_name": "Ada Lovelace", "email": "ada@own.example"}
    bob = {"user_id": "bob", "display_name": "Bob Secretly", "email": "bob@private.example"}
    to_bob = {"user_id": "bob", "display_name": "Bob Secretly", "email": "bob@private.example"}
    joined = presence("ada", "10:00", "11:00")
    for one in joined:
        one["data"]["participant"] |= ada
        one["data"]["client"] = {"host_name": "canary-laptop"}
    started = bounds()
    started[0]["data"] |= {"participant": ada, "title": "canary-title", "passcode": "canary-passcode"}
    return [
        *started,
        *joined,
        *presence("bob", "10:00", "11:00"),
        event("chat.message.sent", "c1", "10:30", message_id="c1", text="canary-ada-chat",
              participant=ada, recipient=to_bob, surprise="canary-unknown"),
        event("chat.message.sent", "c2", "10:31", message_id="c2", text="canary-bob chat",
              participant=bob, recipient={"user_id": "ada", "display_name": "canary-recipient"}),
        event("audio.chunk", "a1", "10:32", participant=ada, data="canary-ada-audio"),
        event("audio.chunk", "a2", "10:33", participant=bob, data="canary-bob audio"),
        event("screen_share.chunk", "s1", "10:34", participant=ada, data="canary-screen"),
        event("summary.completed", "u1", "11:01", text="canary-summary of all"),
        *meeting(["bob", "eve"], "m2"),
        chat("canary-eve", "eve", meeting="m2"),
    ]  # fmt: skip


def make_world(folder: Path, keys: Path) -> World:
    world = World(folder, keys)
    world.adults("ada", "bob", "eve")
    world.say("ada", scope="tenant:t1")
    world.say("bob", "withdrawn", scope="tenant:t1")
    world.ingest(events())
    world.release()
    return world


@pytest.fixture(scope="module", autouse=True)
def contracts_once() -> Iterator[None]:
    """Reading the bundled contracts takes longer than an export."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporting, "load_contracts", cache(lambda files: load_contracts(files)))
        patch.setattr(exporting, "contract_files", lambda _: None)
        yield


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> World:
    """Ada and Bob in one meeting, Bob and Eve in another; Bob has taken his consent back."""
    return make_world(tmp_path_factory.mktemp("world"), keys)


def options(world: World, output: Path | None, subject: str = ADA, **changes: Any) -> SubjectOptions:
    plain: dict[str, Any] = {
        "store": str(world.store),
        "keys": world.keys / "release",
        "consents": (world.consents,),
        "registry": world.registry,
        "as_of": AS_OF,
        "allow_test_keys": True,
    }
    return SubjectOptions(subject=subject, output=output, **{**plain, **changes})


class Archive:
    """An archive as whoever gets it reads it."""

    def __init__(self, path: Path) -> None:
        with zipfile.ZipFile(path) as file:
            assert file.testzip() is None
            self.members = {name: file.read(name) for name in file.namelist()}

    @property
    def everything(self) -> str:
        text = b"\n".join([*self.members.values(), *map(str.encode, self.members)]).decode()
        return text.encode().decode("unicode_escape", "replace") + text

    @property
    def index(self) -> dict[str, Any]:
        return dict(json.loads(self.members["index.json"]))

    def rows(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.members.get(f"{name}.jsonl", b"").splitlines()]


@pytest.fixture(scope="module")
def archive(world: World, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    output = tmp_path_factory.mktemp("out") / "archive.zip"
    told = run_subject_export(options(world, output))
    assert told["content"]["broken"] == {}
    assert output.stat().st_mode & 0o777 == 0o600
    return Archive(output)


# --- what is in it ------------------------------------------------------------------------------------------


def test_their_own_content_is_in_it(archive: Archive) -> None:
    content = b"".join(value for name, value in archive.members.items() if name.startswith("content/"))
    assert [word for word in OWN if word.encode() not in content] == []


def test_nothing_of_others_is_in_it(archive: Archive, world: World) -> None:
    everything = archive.everything
    assert [word for word in OTHERS if word in everything] == []
    hidden = names_of(world, "bob") | names_of(world, "eve")
    assert [name for name in hidden if name in everything] == []


def test_what_others_may_be_in_is_named_and_stays_closed(archive: Archive) -> None:
    assert [word for word in CLOSED if word in archive.everything] == []
    closed = {row["kind"]: row["why_not"] for row in archive.rows("items") if not row["opened"]}
    assert closed["screen_share"] == closed["meeting_title"] == "NOT_THEIRS_ALONE"
    assert {"secret", "unclassified"} <= set(closed)
    assert {row["kind"] for row in archive.rows("mixed_items")} == {"summary"}


def test_telemetry_presence_and_records_are_theirs(archive: Archive, world: World) -> None:
    (record,) = archive.rows("consents")
    assert (record["verified"], record["status"], record["seen"] is not None) == (True, "given", True)
    assert {row["event"] for row in archive.rows("roster")} >= {"join", "leave"}
    ada = names_of(world, "ada")
    named = [each["pseudonym"] for row in archive.rows("roster") for each in row["subjects"]]
    assert set(named) <= ada
    tables = [name for name in archive.members if name.startswith("telemetry/")]
    assert "telemetry/cofferdam_chat.jsonl" in tables
    assert "telemetry/cofferdam_chat.csv" in tables
    rows = archive.rows("telemetry/cofferdam_chat")
    assert [row["participant"] in ada for row in rows] == [True]
    (entry,) = archive.rows("registry")
    assert (entry["person"], entry["region"]) == ("p-ada", "eu")


def test_decisions_tell_their_reasons_and_not_those_of_others(archive: Archive) -> None:
    rows = archive.rows("decisions")
    own = [row for row in rows if row["items"] and row["kind"] == "chat"]
    assert own
    for row in own:
        assert (row["decision"], row["primary"], row["reasons_of_others"]) == ("HELD", "OF_OTHERS", True)
    assert "WITHDRAWN" not in archive.everything
    assert "NOT_ALL_PARTICIPANTS" not in archive.everything
    assert all(row["decision"] == "HELD" for row in archive.rows("telemetry_decisions"))


def test_the_other_person_is_told_their_own_reason(world: World, tmp_path: Path) -> None:
    output = tmp_path / "other.zip"
    run_subject_export(options(world, output, "cofferdam.user_id:bob"))
    rows = [row for row in Archive(output).rows("decisions") if row["kind"] == "chat"]
    told = {reason["code"] for row in rows for reason in row["reasons"]}
    assert "WITHDRAWN" in told
    assert all(reason["sentence"] for row in rows for reason in row["reasons"])


def test_the_index_explains_everything_and_names_every_file(archive: Archive) -> None:
    index = archive.index
    assert {each["path"] for each in index["members"]} == set(archive.members) - {"index.json"}
    for each in index["members"]:
        assert hashlib.sha256(archive.members[each["path"]]).hexdigest() == each["sha256"]
    told = index["information"]
    assert told["purposes"]["ai_training"]["copies_are_kept_for"].startswith("P")
    assert [one["law"] for one in told["rights"]][:2] == ["GDPR Article 16", "GDPR Article 17"]
    assert told["source"] == ["cofferdam"]
    assert told["controllers"]
    page = archive.members["index.html"].decode()
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    for said in ("AI training", "European Union", "6 months", "measurements of the service"):
        assert said in page
    for code in ("first_party", "ai_training", "us-default", "identifier.pseudonymous"):
        assert code not in page


def test_what_was_destroyed_and_recalled_is_told(world: World, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(world.store, store)
    theirs = {
        row["item_id"] for row in world.rows(QUARANTINE_ITEMS) if row["sender_join"] in names_of(world, "ada")
    }
    run_erase(
        EraseOptions(
            store=str(store),
            keys=world.keys / "release",
            consents=(world.consents,),
            registry=world.registry,
            as_of="2026-06-01T00:00:00Z",
            all_due=True,
            max_share=100.0,
            allow_test_keys=True,
        ),
        show_progress=False,
    )
    output = tmp_path / "archive.zip"
    told = run_subject_export(options(world, output, store=str(store)))
    archive = Archive(output)
    stones = {row["item_id"]: row["reason"] for row in archive.rows("tombstones")}
    assert theirs <= set(stones)
    assert set(stones.values()) <= {"TIME_TO_LIVE_OVER", "NO_PURPOSE_LEFT"}
    assert told["content"]["to_open"] == 0
    bobs = {row["item_id"] for row in world.rows(QUARANTINE_ITEMS)} - theirs
    assert bobs.isdisjoint(stones)
    assert archive.rows("telemetry/cofferdam_chat")


@pytest.mark.parametrize("person", ["ada", "bob", "eve"])
def test_what_is_told_is_what_an_erasure_would_reach(world: World, person: str) -> None:
    subject = f"cofferdam.user_id:{person}"
    told = run_subject_export(options(world, None, subject))
    shown = run_erase(
        EraseOptions(
            store=str(world.store),
            keys=world.keys / "release",
            consents=(world.consents,),
            registry=world.registry,
            as_of=AS_OF,
            subjects=(subject,),
            dry_run=True,
            allow_test_keys=True,
        ),
        show_progress=False,
    )
    tables = {name: rows for name, rows in told["sections"].items() if name.startswith("telemetry/")}
    assert tables == {
        name: row["gone"]
        for name, row in shown["rows"].items()
        if name.startswith("telemetry/") and row["gone"]
    }
    assert told["sections"]["roster"] == shown["rows"]["roster"]["changed"]
    assert told["content"]["items"] == shown["items"]


def test_an_erasure_that_waits_is_told(world: World, tmp_path: Path) -> None:
    files, keys = Store.open(world.store).files_of_store, load_release_keys(world.keys / "release")
    order = Order("20260301t000000z-00000000", (Identifier("cofferdam.user_id", "ada"),), due=False)
    write_order(files, keys, order)
    shown = run(world, "--subject", ADA, "--dry-run")
    finish_orders(files, [order])
    assert "An erasure of this person was ordered" in shown.output
    assert "was ordered" not in run(world, "--subject", ADA, "--dry-run").output


# --- on record ----------------------------------------------------------------------------------------------


def test_every_opening_is_signed_logged_and_on_record(archive: Archive, world: World) -> None:
    run_id = archive.index["run_id"]
    rows = [row for row in world.rows(OPENINGS) if row["run_id"] == run_id]
    assert {(row["ground"], row["outcome"]) for row in rows} == {("export", "opened")}
    public = load_release_keys(world.keys / "release").log_signing_key.public_key()
    for row in rows:
        check_warrant(public, warrant_of_row(row))
    opened = {item for row in rows for item in row["item_ids"]}
    assert opened == {row["item_id"] for row in archive.rows("items") if row["opened"]}
    found = verify_log(str(world.store), wanted=[rows[0]["decision_id"]])
    assert (found.holds, found.entries["access"] >= 2) == (True, True), found.findings
    manifest = Store.open(world.store).snapshot.of_run(run_id)
    assert manifest is not None
    assert manifest.facts["kind"] == "access"
    assert not any(word in repr(manifest.facts) for word in (*OWN, *OTHERS, "'ada'", "'bob'"))


def test_a_dry_run_opens_and_writes_nothing(world: World) -> None:
    before = {path: path.stat().st_mtime_ns for path in world.store.rglob("*")}
    told = run_subject_export(options(world, None))
    assert (told["dry_run"], told["content"]["opened"], told["content"]["to_open"] > 0) == (True, 0, True)
    assert {path: path.stat().st_mtime_ns for path in world.store.rglob("*")} == before


def dies_in(step: Callable[[], object], patch: Callable[[pytest.MonkeyPatch], None]) -> int:
    """Run a step in a process that dies where the patch says; gives its exit code."""
    child = os.fork()
    if not child:
        with pytest.MonkeyPatch.context() as context:
            patch(context)
            step()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def die(*_: Any, **__: Any) -> None:
    os._exit(9)


@pytest.mark.parametrize("place", ["audited", "merge", "publish"])
def test_killed_anywhere_it_leaves_no_archive_and_a_log_that_verifies(
    world: World, tmp_path: Path, place: str
) -> None:
    output = tmp_path / "archive.zip"

    def patch(context: pytest.MonkeyPatch) -> None:
        if place == "publish":
            context.setattr(subject_archive.PrivateFile, "publish", die)
        elif place == "audited":
            context.setattr(exporting, "audited", die)
        else:
            context.setattr(exporting._Export, "_openings", die)

    before = verify_log(str(world.store)).entries["access"]
    assert dies_in(lambda: run_subject_export(options(world, output)), patch) == 9
    assert list(tmp_path.iterdir()) == []
    run_subject_export(options(world, output))
    assert Archive(output).rows("items")
    found = verify_log(str(world.store))
    assert found.holds, found.findings.listed
    assert found.entries["access"] - before == (4 if place == "publish" else 3), "begun, begun and done"


def test_where_a_file_needs_a_name_nothing_is_left_either(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject_archive, "_unnamed", lambda target: None)
    output = tmp_path / "archive.zip"
    run_subject_export(options(world, output))
    assert [path.name for path in tmp_path.iterdir()] == ["archive.zip"]
    assert output.stat().st_mode & 0o777 == 0o600
    output.unlink()
    monkeypatch.setattr(exporting._Export, "_commit", lambda *_: 1 / 0)
    with pytest.raises(InfrastructureFault, match="STEP_FAILED"):
        run_subject_export(options(world, output))
    assert list(tmp_path.iterdir()) == []


def test_a_lost_key_closes_its_own_items_and_no_others(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = subject_content._keys_of
    lost: set[bytes] = set()

    def without_one(store: Store, ids: set[bytes]) -> list[KeyRow]:
        rows = real(store, ids)
        lost.update(row.key_id for row in rows[:1] if row.covers == "data")
        return [row for row in rows if row.key_id not in lost]

    monkeypatch.setattr(subject_content, "_keys_of", without_one)
    output = tmp_path / "archive.zip"
    told = run_subject_export(options(world, output))
    assert set(told["content"]["broken"]) == {"SEAL_KEY_MISSING"}
    broken = [row for row in Archive(output).rows("items") if row["why_not"] == "SEAL_KEY_MISSING"]
    assert len(broken) == told["content"]["broken"]["SEAL_KEY_MISSING"]
    assert told["content"]["opened"] > 0
    assert told["content"]["opened"] + len(broken) == told["content"]["to_open"]


# --- who is meant -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subject", "output", "code"),
    [
        ("ada", "a.zip", "SUBJECT_INVALID"),
        ("cofferdam.join_id:visit-m1-bob-10:00", "a.zip", "SUBJECT_IS_A_VISIT"),
        (ADA, "for-Ada.zip", "OUTPUT_NAMES_SUBJECT"),
        (ADA, "taken", "OUTPUT_EXISTS"),
    ],
)
def test_what_cannot_be_answered_is_refused_before_anything_is_opened(
    world: World, tmp_path: Path, subject: str, output: str, code: str
) -> None:
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(CofferdamError) as caught:
        run_subject_export(options(world, tmp_path / output, subject))
    assert caught.value.code == code
    assert (tmp_path / "taken").read_text() == "mine"
    assert "ada" not in caught.value.message.replace(str(tmp_path), "")


def test_an_archive_that_appears_meanwhile_is_not_overwritten(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "archive.zip"
    commit = exporting._Export._commit

    def meanwhile(self: Any, *given: Any) -> None:
        output.write_text("mine")
        commit(self, *given)

    monkeypatch.setattr(exporting._Export, "_commit", meanwhile)
    with pytest.raises(ConfigurationError, match="OUTPUT_EXISTS"):
        run_subject_export(options(world, output))
    assert output.read_text() == "mine"


def test_what_several_people_claim_is_held_back_and_said(tmp_path: Path, keys: Path) -> None:
    world = World(tmp_path, keys)
    shared = {"identifiers": [{"type": "email", "value": "desk@example.org"}]}
    world.people({"ada": shared, "bob": shared})
    about: dict[str, Any] = {"about": {"email": "desk@example.org"}}
    world.ingest([*meeting(["ada", "bob"]), chat("desk", None), chat("own", "ada", **about)])
    world.say("desk@example.org", type="email")
    world.say("ada")
    with pytest.raises(ConfigurationError) as caught:
        run_subject_export(options(world, tmp_path / "out.zip", "email:desk@example.org"))
    assert caught.value.code == "SUBJECT_AMBIGUOUS"
    told = run_subject_export(options(world, tmp_path / "out.zip"))
    assert (told["held_back"]["identifiers"], told["held_back"]["records"]) == (1, 1)
    archive = Archive(tmp_path / "out.zip")
    assert len(archive.index["notes"]) == 2
    assert len(archive.rows("consents")) == 1


# --- as a command -------------------------------------------------------------------------------------------


def run(world: World, *more: str) -> Result:
    given = {
        "store": world.store,
        "keys": world.keys / "release",
        "consents": world.consents,
        "registry": world.registry,
        "as-of": AS_OF,
    }
    words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
    return CliRunner().invoke(cli, ["subject", "export", *words, "--allow-test-keys", *more])


def test_nobody_is_found_and_that_is_said(world: World, tmp_path: Path) -> None:
    output = tmp_path / "nobody.zip"
    result = run(world, "--subject", "email:stranger@example.org", "--output", str(output))
    assert result.exit_code == 0, result.output
    assert "Nothing is held about this person" in result.output
    assert "not in the registry" in result.output
    assert "stranger" not in result.output
    assert "TYPE; there are" not in result.output
    mistyped = run(world, "--subject", "mail:stranger@example.org", "--dry-run")
    assert "No contract finds anybody under such a TYPE; there are: cofferdam.user_id" in mistyped.output
    archive = Archive(output)
    assert set(archive.members) == {"index.html", "index.json"}
    assert "Nothing is held about you" in archive.index["summary"]


def test_it_ends_with_the_checkpoint_and_names_no_value(world: World, tmp_path: Path) -> None:
    output = tmp_path / "it.zip"
    result = run(world, "--subject", ADA, "--output", str(output), "--json")
    told = json.loads(result.stdout)
    assert (result.exit_code, told["checkpoint"]["size"] > 0) == (0, True)
    shown = run(world, "--subject", ADA, "--dry-run")
    assert (shown.exit_code, "checkpoint" in shown.output) == (0, False)
    for output_text in (result.output, shown.output):
        assert not any(word in output_text for word in (*OWN, *OTHERS, "user_id:ada"))


def test_a_file_or_a_dry_run_must_be_named(world: World, tmp_path: Path) -> None:
    for more in ((), ("--dry-run", "--output", str(tmp_path / "x.zip"))):
        result = run(world, "--subject", ADA, *more)
        assert (result.exit_code, "--output" in result.stderr) == (2, True)
