"""Nothing is opened without a signed decision, and every opening is on record."""

from __future__ import annotations

import ast
from datetime import date
from pathlib import Path

import pytest

from schemas.errors import PromiseBroken
from transforms.chunked_encryption import SealBroken
from transforms.keys import ReleaseKeys, create_key_directory, load_ingest_keys, load_release_keys
from transforms.opening_warrants import (
    FOR_RELEASE,
    GROUNDS,
    Ground,
    Warrant,
    WarrantedOpener,
    check_warrant,
    issue_warrant,
    warrant_of_row,
)
from transforms.sealing import BundleSealer, RejectedPiece, SealedBatch, SealGroup, frame_parts

ROOT = Path(__file__).parents[3]
DAY = date(2026, 2, 3)
GROUND = Ground("run-000001", FOR_RELEASE, "d" * 32, "ai_training", "internal")
CANARY = b'"canary that nobody may open"'


def item_id(number: int) -> bytes:
    return number.to_bytes(16, "big")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys") / "keys"
    create_key_directory(folder, created=DAY)
    return folder


@pytest.fixture
def release(directory: Path) -> ReleaseKeys:
    return load_release_keys(directory / "release")


@pytest.fixture
def batch(directory: Path) -> SealedBatch:
    """One blob with three items, of which the first two are asked for."""
    items = [(item_id(number), frame_parts([("text", CANARY)])) for number in (1, 2, 3)]
    with BundleSealer(load_ingest_keys(directory / "ingest"), created=DAY) as sealer:
        return sealer.seal_groups([SealGroup("t", "m", "s", "chat", "c@1", items)])


def warrant(release: ReleaseKeys, batch: SealedBatch, ground: Ground = GROUND) -> Warrant:
    blob = batch.blobs[0]
    return issue_warrant(release.log_signing_key, ground, blob.key_id, blob.part, [item_id(2), item_id(1)])


def test_a_warrant_opens_the_items_that_it_names_and_no_other(
    release: ReleaseKeys, batch: SealedBatch
) -> None:
    opener = WarrantedOpener(release, batch.keys)
    opened = opener.open_blob(batch.blobs[0], [warrant(release, batch)])
    assert [item.item_id for item in opened] == [item_id(1), item_id(2)]
    (row,) = opener.take_rows().to_pylist()
    assert row["item_ids"] == [item_id(1).hex(), item_id(2).hex()]
    assert (row["run_id"], row["purpose"], row["decision_id"]) == ("run-000001", "ai_training", "d" * 32)
    assert (row["beside"], row["outcome"], row["kind"]) == (1, "opened", "chat")
    assert opener.take_rows().num_rows == 0


def test_a_row_of_the_record_can_be_checked_with_the_public_key_alone(
    release: ReleaseKeys, batch: SealedBatch
) -> None:
    opener = WarrantedOpener(release, batch.keys)
    opener.open_blob(batch.blobs[0], [warrant(release, batch)])
    (row,) = opener.take_rows().to_pylist()
    check_warrant(release.log_signing_key.public_key(), warrant_of_row(row))
    with pytest.raises(PromiseBroken, match="OPENING_WITHOUT_DECISION"):
        check_warrant(release.log_signing_key.public_key(), warrant_of_row({**row, "purpose": "other"}))


@pytest.mark.parametrize("field", ["run_id", "ground", "decision_id", "purpose", "recipient"])
def test_a_changed_ground_opens_nothing(release: ReleaseKeys, batch: SealedBatch, field: str) -> None:
    signed = warrant(release, batch)
    value = GROUNDS[-1] if field == "ground" else "x"
    refused(release, batch, [signed._replace(ground=signed.ground._replace(**{field: value}))])


def refused(release: ReleaseKeys, batch: SealedBatch, warrants: list[Warrant]) -> None:
    opener = WarrantedOpener(release, batch.keys)
    with pytest.raises(PromiseBroken, match="OPENING_WITHOUT_DECISION"):
        opener.open_blob(batch.blobs[0], warrants)
    assert opener.take_rows().num_rows == 0


def test_no_warrant_opens_nothing(release: ReleaseKeys, batch: SealedBatch) -> None:
    refused(release, batch, [])


@pytest.mark.parametrize(
    "change", [{"item_ids": (item_id(3),)}, {"key_id": bytes(16)}, {"part": 1}, {"signature": bytes(64)}]
)
def test_a_warrant_for_something_else_opens_nothing(
    release: ReleaseKeys, batch: SealedBatch, change: dict[str, object]
) -> None:
    refused(release, batch, [warrant(release, batch)._replace(**change)])  # type: ignore[arg-type]


def test_one_good_warrant_does_not_carry_a_bad_one(release: ReleaseKeys, batch: SealedBatch) -> None:
    good = warrant(release, batch)
    refused(release, batch, [good, good._replace(item_ids=(item_id(3),))])


def test_ingest_cannot_sign_for_release(directory: Path, release: ReleaseKeys, batch: SealedBatch) -> None:
    ingest = load_ingest_keys(directory / "ingest")
    blob = batch.blobs[0]
    refused(release, batch, [issue_warrant(ingest.log_signing_key, GROUND, blob.key_id, 0, [item_id(1)])])


def test_an_unknown_ground_is_no_ground(release: ReleaseKeys, batch: SealedBatch) -> None:
    refused(release, batch, [warrant(release, batch, GROUND._replace(ground="curiosity"))])


def test_what_does_not_open_is_on_record_with_its_code(release: ReleaseKeys, batch: SealedBatch) -> None:
    opener = WarrantedOpener(release, batch.keys)
    blob = batch.blobs[0]
    with pytest.raises(SealBroken) as caught:
        opener.open_blob(blob._replace(ciphertext=blob.ciphertext[:-1]), [warrant(release, batch)])
    (row,) = opener.take_rows().to_pylist()
    assert row["outcome"] == caught.value.code == "SEAL_BROKEN"
    assert CANARY.decode() not in str(row) + str(caught.value)


def test_pieces_of_one_record_are_one_item(directory: Path, release: ReleaseKeys) -> None:
    pieces = [RejectedPiece(item_id(1), b"x", number, number == 1) for number in range(2)]
    with BundleSealer(load_ingest_keys(directory / "ingest"), created=DAY) as sealer:
        batch = sealer.seal_rejected(pieces)
    opener = WarrantedOpener(release, batch.keys)
    blob = batch.blobs[0]
    named = Ground("run-000001", "reprocess", "order")
    signed = issue_warrant(release.log_signing_key, named, blob.key_id, blob.part, [item_id(1)] * 2)
    assert len(opener.open_blob(blob, [signed])) == 2
    assert opener.take_rows().column("beside").to_pylist() == [0]


def test_closing_forgets_the_unwrapped_keys(release: ReleaseKeys, batch: SealedBatch) -> None:
    opener = WarrantedOpener(release, batch.keys)
    opener.open_blob(batch.blobs[0], [warrant(release, batch)])
    opener.close()
    assert not opener._opener._unwrapper._ciphers


def test_only_the_warranted_opener_decrypts_content() -> None:
    """Whoever names the bare opener calls nothing of it that decrypts content, and nobody else can."""
    found = set()
    for path in (*ROOT.glob("transforms/*.py"), *ROOT.glob("pipelines/*.py")):
        nodes = list(ast.walk(ast.parse(path.read_bytes())))
        attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
        names = attributes | {node.id for node in nodes if isinstance(node, ast.Name)}
        bare = "VaultOpener" in names and attributes & {"open_blob", "open_blobs"}
        if bare or names & {"open_message", "Cobblestone256Decryptor"}:
            found.add(path.name)
    assert found == {"chunked_encryption.py", "opening.py", "opening_warrants.py"}
