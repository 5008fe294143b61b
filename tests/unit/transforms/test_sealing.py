from __future__ import annotations

import gc
import os
import pickle
import struct
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import zstandard
from cryptography.cobblestone import Cobblestone256Decryptor
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from transforms import sealing
from transforms.chunked_encryption import SealBroken, length_prefixed, seal_message, sealed_length
from transforms.keys import IngestKeys, ReleaseKeys, create_key_directory, load_ingest_keys, load_release_keys
from transforms.opening import OpenedItem, VaultOpener, join_rejected
from transforms.sealed_format import SCHEME, BlobRow, KeyRow, blob_context, bundle_key_info, pack_joined
from transforms.sealing import (
    BundleSealer,
    RejectedPiece,
    SealedBatch,
    SealGroup,
    frame_parts,
    pieces_of,
    size_class,
    unframe_parts,
)

DAY = date(2026, 2, 3)
CANARY = b"the canary sings at midnight"
TENANT, MEETING, SENDER = "a" * 32, "b" * 32, "c" * 32


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "keys"
    create_key_directory(path, created=DAY)
    return path


@pytest.fixture(scope="module")
def ingest(directory: Path) -> IngestKeys:
    return load_ingest_keys(directory / "ingest")


@pytest.fixture(scope="module")
def release(directory: Path) -> ReleaseKeys:
    return load_release_keys(directory / "release")


@pytest.fixture
def sealer(ingest: IngestKeys) -> Iterator[BundleSealer]:
    with BundleSealer(ingest, created=DAY) as made:
        yield made


def item_id(number: int) -> bytes:
    return number.to_bytes(16, "big")


def group(number: int = 0, items: int = 1, kind: str = "chat") -> SealGroup:
    framed = [
        (item_id(100 * number + k), frame_parts([("message", CANARY + bytes((k,)))])) for k in range(items)
    ]
    return SealGroup(TENANT, MEETING, f"{number:032x}", kind, "zoom-chat@1.0.0", framed)


def all_items(groups: list[SealGroup]) -> list[OpenedItem]:
    return [OpenedItem(*item) for sealed_group in groups for item in sealed_group.items]


def test_what_ingest_seals_release_opens(sealer: BundleSealer, release: ReleaseKeys) -> None:
    groups = [group(number, items=number + 1) for number in range(5)]
    batch = sealer.seal_groups(groups)
    opened = VaultOpener(release, batch.keys).open_blobs(batch.blobs)
    assert (opened.items, opened.broken) == (all_items(groups), [])
    assert unframe_parts(opened.items[0].framed) == [("message", CANARY + b"\0")]


@given(
    names=st.lists(st.text("0123456789abcdef", min_size=1, max_size=8), min_size=4, max_size=4),
    items=st.lists(st.tuples(st.binary(min_size=16, max_size=16), st.binary(max_size=200)), min_size=1),
)
def test_any_group_comes_back(
    ingest: IngestKeys, release: ReleaseKeys, names: list[str], items: list[tuple[bytes, bytes]]
) -> None:
    tenant, meeting, sender, contract = names
    whole = SealGroup(tenant, meeting, sender, "chat", contract, items)
    batch = BundleSealer(ingest, created=DAY).seal_groups([whole])
    opened = VaultOpener(release, batch.keys).open_blob(batch.blobs[0])
    assert opened == [OpenedItem(*item) for item in items]


def test_a_bundle_wraps_to_the_vault_once(
    sealer: BundleSealer, ingest: IngestKeys, release: ReleaseKeys
) -> None:
    first, second = sealer.seal_groups([group(0), group(1)]), sealer.seal_groups([group(2)])
    assert [row.covers for row in first.keys] == ["bundle", "data", "data"]
    assert [row.covers for row in second.keys] == ["data"]
    assert first.keys[0].wrapping_key_id == ingest.vault_id
    assert {row.wrapping_key_id for row in first.keys[1:] + second.keys} == {first.keys[0].key_id}
    assert not VaultOpener(release, first.keys + second.keys).open_blobs(second.blobs).broken


def test_every_group_and_bundle_has_a_key_of_its_own(ingest: IngestKeys) -> None:
    batches = [BundleSealer(ingest, created=DAY).seal_groups([group(), group()]) for _ in range(3)]
    ids = [row.key_id for batch in batches for row in batch.keys]
    assert len(set(ids)) == len(ids) == 9
    ciphertexts = [blob.ciphertext for batch in batches for blob in batch.blobs]
    assert len(set(ciphertexts)) == len(ciphertexts)


def test_items_say_where_they_lie(sealer: BundleSealer) -> None:
    batch = sealer.seal_groups([group(0, items=2), group(1, items=1)])
    keys = [blob.key_id for blob in batch.blobs]
    assert batch.item_key_ids == [keys[0], keys[0], keys[1]]
    assert batch.item_parts == [0, 0, 0]
    assert batch.blobs[0].item_ids == item_id(0) + item_id(1)


def test_nothing_sealed_is_in_clear(sealer: BundleSealer) -> None:
    batch = sealer.seal_groups([group()])
    assert CANARY not in pickle.dumps(batch)
    assert CANARY.decode() not in repr(batch) + repr(sealer) + str(vars(sealer))


def test_length_shows_as_a_size_class_only(sealer: BundleSealer) -> None:
    for size in (0, 1, 100, 1000, 5000):
        raw = frame_parts([("message", os.urandom(size))])
        (blob,) = sealer.seal_groups([group()._replace(items=[(item_id(0), raw)])]).blobs
        assert blob.size_class == size_class(blob.size_class)
        assert len(blob.ciphertext) == sealed_length(blob.size_class)


def test_no_groups_make_no_keys(sealer: BundleSealer) -> None:
    assert sealer.seal_groups([]) == sealer.seal_rejected([]) == SealedBatch()


@pytest.mark.parametrize("length", [0, 15, 17])
def test_item_ids_of_a_wrong_length_are_refused(sealer: BundleSealer, length: int) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        sealer.seal_groups([group()._replace(items=[(bytes(length), b"")])])


def test_large_groups_are_cut_into_parts(
    sealer: BundleSealer, release: ReleaseKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "PART_BYTES", 100)
    items = [(item_id(k), os.urandom(size)) for k, size in enumerate([60, 40, 1, 250, 0, 99, 2])]
    batch = sealer.seal_groups([group()._replace(items=items)])
    assert batch.item_parts == [0, 0, 1, 2, 3, 3, 4]
    opened = VaultOpener(release, batch.keys).open_blobs(batch.blobs)
    assert opened.items == [OpenedItem(*item) for item in items]


# --- after the bundle -------------------------------------------------------------------------------------


def reachable(root: object) -> Iterator[object]:
    seen, waiting = set(), [root]
    while waiting:
        value = waiting.pop()
        if id(value) in seen or isinstance(value, type) or callable(value):
            continue
        seen.add(id(value))
        yield value
        waiting += gc.get_referents(value)


def test_a_closed_sealer_seals_nothing(sealer: BundleSealer) -> None:
    sealer.close()
    with pytest.raises(ValueError, match="forgotten"):
        sealer.seal_groups([group()])
    with pytest.raises(ValueError, match="forgotten"):
        sealer.seal_rejected([RejectedPiece(item_id(0), b"")])


def test_a_closed_sealer_holds_no_key_of_the_bundle(sealer: BundleSealer, release: ReleaseKeys) -> None:
    batch = sealer.seal_groups([group()])
    opener = VaultOpener(release, batch.keys)
    bundle_key = opener._unwrapper._bundle_key(batch.keys[0].key_id, "items")
    secrets = [opener.data_key(batch.keys[1].key_id), bundle_key]
    held_before = [type(value).__name__ for value in reachable(sealer)]
    sealer.close()
    held = list(reachable(sealer))
    assert "_BundleKey" in held_before
    assert not [value for value in held if type(value).__name__ in ("AESGCM", "_BundleKey", "ZstdCompressor")]
    assert not [value for value in held if isinstance(value, bytes | bytearray) and bytes(value) in secrets]


@pytest.mark.parametrize("closed", [False, True])
def test_a_pickled_sealer_carries_no_key(sealer: BundleSealer, release: ReleaseKeys, closed: bool) -> None:
    batch = sealer.seal_groups([group()])
    if closed:
        sealer.close()
    pickled = pickle.dumps(sealer)
    opener = VaultOpener(release, batch.keys)
    bundle_key = opener._unwrapper._bundle_key(batch.keys[0].key_id, "items")
    for secret in (opener.data_key(batch.keys[1].key_id), bundle_key):
        assert secret not in pickled
    copy = pickle.loads(pickled)  # noqa: S301 - our own bytes
    assert copy.seal_groups([group()]).keys[0].key_id != batch.keys[0].key_id


def test_the_buffers_of_fresh_keys_are_overwritten(
    sealer: BundleSealer, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[memoryview] = []

    def watched(key: memoryview, plaintext: bytes, *, context: bytes) -> bytes:
        used.append(key)
        return seal_message(key, plaintext, context=context)

    monkeypatch.setattr(sealing, "seal_message", watched)
    sealer.seal_groups([group(0), group(1)])
    assert [bytes(key) for key in used] == [bytes(32)] * 2


def test_ingest_keys_cannot_open(ingest: IngestKeys, sealer: BundleSealer) -> None:
    batch = sealer.seal_groups([group()])
    with pytest.raises(AttributeError):
        VaultOpener(ingest, batch.keys).open_blob(batch.blobs[0])  # type: ignore[arg-type]


# --- what does not open -----------------------------------------------------------------------------------


BLOB_CHANGES: dict[str, Any] = {
    "tenant": "d" * 32,
    "meeting": "d" * 32,
    "sender": "d" * 32,
    "kind": "caption",
    "contract": "zoom-chat@1.0.1",
    "part": 1,
    "item_ids": item_id(9),
}


def opener_and_blobs(sealer: BundleSealer, release: ReleaseKeys) -> tuple[VaultOpener, list[BlobRow]]:
    batch = sealer.seal_groups([group(0), group(1)])
    return VaultOpener(release, batch.keys), batch.blobs


@pytest.mark.parametrize("column", BLOB_CHANGES)
def test_a_blob_opens_in_its_own_place_only(sealer: BundleSealer, release: ReleaseKeys, column: str) -> None:
    opener, (blob, _) = opener_and_blobs(sealer, release)
    with pytest.raises(SealBroken) as caught:
        opener.open_blob(blob._replace(**{column: BLOB_CHANGES[column]}))
    assert caught.value.code == "SEAL_BROKEN"
    assert blob.key_id.hex() in caught.value.message


@pytest.mark.parametrize("column", ["tenant", "meeting", "sender"])
def test_a_missing_name_is_not_another_name(sealer: BundleSealer, release: ReleaseKeys, column: str) -> None:
    opener, (blob, _) = opener_and_blobs(sealer, release)
    changes: dict[str, Any] = {column: None}
    with pytest.raises(SealBroken, match="SEAL_BROKEN"):
        opener.open_blob(blob._replace(**changes))


def test_neighbouring_columns_do_not_run_into_each_other(sealer: BundleSealer, release: ReleaseKeys) -> None:
    batch = sealer.seal_groups([group()._replace(tenant="ab", meeting="c")])
    with pytest.raises(SealBroken):
        VaultOpener(release, batch.keys).open_blob(batch.blobs[0]._replace(tenant="a", meeting="bc"))


@pytest.mark.parametrize("column", ["key_id", "ciphertext", "item_ids", "sender"])
def test_swapped_rows_do_not_open(sealer: BundleSealer, release: ReleaseKeys, column: str) -> None:
    opener, (first, second) = opener_and_blobs(sealer, release)
    with pytest.raises(SealBroken):
        opener.open_blob(first._replace(**{column: getattr(second, column)}))


def test_a_broken_blob_leaves_the_others_readable(sealer: BundleSealer, release: ReleaseKeys) -> None:
    opener, (first, second) = opener_and_blobs(sealer, release)
    opened = opener.open_blobs([first._replace(ciphertext=first.ciphertext[:-1]), second])
    assert [item.item_id for item in opened.items] == [item_id(100)]
    assert [(broken.key_id, broken.item_ids, broken.code) for broken in opened.broken] == [
        (first.key_id, first.item_ids, "SEAL_BROKEN")
    ]


@pytest.mark.parametrize("scheme", ["", "cofferdam-sealed@v2", "none"])
def test_an_unknown_scheme_is_not_guessed(sealer: BundleSealer, release: ReleaseKeys, scheme: str) -> None:
    opener, (blob, _) = opener_and_blobs(sealer, release)
    with pytest.raises(SealBroken, match="SEAL_FORMAT"):
        opener.open_blob(blob._replace(scheme=scheme))


def changed_keys(rows: list[KeyRow], change: str) -> list[KeyRow]:
    bundle, first, second = rows
    return {
        "no data key": [bundle, second],
        "no bundle key": [first, second],
        "data key truncated": [bundle, first._replace(wrapped=first.wrapped[:-1]), second],
        "data key empty": [bundle, first._replace(wrapped=b""), second],
        "data key flipped": [
            bundle,
            first._replace(wrapped=bytes((first.wrapped[0] ^ 1,)) + first.wrapped[1:]),
            second,
        ],
        "wrappings swapped": [bundle, first._replace(wrapped=second.wrapped), second],
        "moved to the rejected": [bundle, first._replace(holds="rejected"), second],
        "under another bundle": [bundle, first._replace(wrapping_key_id=bytes(16)), second],
        "bundle truncated": [bundle._replace(wrapped=bundle.wrapped[:-1]), first, second],
        "bundle renamed": [
            bundle._replace(key_id=bytes(16)),
            first._replace(wrapping_key_id=bytes(16)),
            second,
        ],
        "another vault": [bundle._replace(wrapping_key_id=bytes(16)), first, second],
        "covers swapped": [bundle._replace(covers="data"), first._replace(covers="bundle"), second],
    }[change]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("no data key", "SEAL_KEY_MISSING"),
        ("no bundle key", "SEAL_KEY_MISSING"),
        ("data key truncated", "SEAL_KEY_BROKEN"),
        ("data key empty", "SEAL_KEY_BROKEN"),
        ("data key flipped", "SEAL_KEY_BROKEN"),
        ("wrappings swapped", "SEAL_KEY_BROKEN"),
        ("moved to the rejected", "SEAL_KEY_BROKEN"),
        ("under another bundle", "SEAL_KEY_MISSING"),
        ("bundle truncated", "SEAL_KEY_BROKEN"),
        ("bundle renamed", "SEAL_KEY_BROKEN"),
        ("another vault", "SEAL_KEY_MISSING"),
        ("covers swapped", "SEAL_KEY_MISSING"),
    ],
)
def test_a_changed_key_row_opens_nothing(
    sealer: BundleSealer, release: ReleaseKeys, change: str, code: str
) -> None:
    batch = sealer.seal_groups([group(0), group(1)])
    with pytest.raises(SealBroken) as caught:
        VaultOpener(release, changed_keys(batch.keys, change)).open_blob(batch.blobs[0])
    assert caught.value.code == code


def test_destroying_one_data_key_spares_the_others(sealer: BundleSealer, release: ReleaseKeys) -> None:
    batch = sealer.seal_groups([group(0), group(1)])
    opened = VaultOpener(release, [batch.keys[0], batch.keys[2]]).open_blobs(batch.blobs)
    assert [broken.code for broken in opened.broken] == ["SEAL_KEY_MISSING"]
    assert [item.item_id for item in opened.items] == [item_id(100)]


def test_a_bogus_row_beside_the_true_one_hinders_nothing(sealer: BundleSealer, release: ReleaseKeys) -> None:
    batch = sealer.seal_groups([group()])
    bogus = [row._replace(wrapped=bytes(len(row.wrapped))) for row in batch.keys]
    for rows in (bogus + batch.keys, batch.keys + bogus):
        assert not VaultOpener(release, rows).open_blobs(batch.blobs).broken


def test_keys_of_another_vault_open_nothing(sealer: BundleSealer, tmp_path: Path) -> None:
    create_key_directory(tmp_path / "other", created=DAY)
    batch = sealer.seal_groups([group()])
    with pytest.raises(SealBroken, match="SEAL_KEY_MISSING"):
        VaultOpener(load_release_keys(tmp_path / "other" / "release"), batch.keys).open_blob(batch.blobs[0])


def test_opened_items_do_not_print_their_content(sealer: BundleSealer, release: ReleaseKeys) -> None:
    opener, blobs = opener_and_blobs(sealer, release)
    opened = opener.open_blobs(blobs)
    assert CANARY.decode() not in repr(opened) + repr(opened.items) + repr(opener)


# --- rejected records -------------------------------------------------------------------------------------


def test_rejected_records_come_back_whole(
    sealer: BundleSealer, release: ReleaseKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "PART_BYTES", 1000)
    records = {item_id(k): os.urandom(size) for k, size in enumerate([0, 1, 999, 1000, 1001, 4500])}
    pieces = [piece for record, raw in records.items() for piece in pieces_of(record, raw)]
    batch = sealer.seal_rejected(pieces)
    opened = VaultOpener(release, batch.keys).open_blobs(batch.blobs)
    assert join_rejected(opened.items) == records
    assert len(batch.item_key_ids) == len(pieces)
    assert max(blob.size_class for blob in batch.blobs) < 1500


def test_rejected_records_have_keys_of_their_own(sealer: BundleSealer) -> None:
    items, rejected = sealer.seal_groups([group()]), sealer.seal_rejected([RejectedPiece(item_id(1), CANARY)])
    assert {row.holds for row in items.keys} == {"items"}
    assert {row.holds for row in rejected.keys} == {"rejected"}
    assert not {row.key_id for row in items.keys} & {row.key_id for row in rejected.keys}
    assert {(blob.kind, blob.tenant) for blob in rejected.blobs} == {("rejected", None)}
    assert {row.created for row in rejected.keys} == {DAY}
    assert CANARY not in pickle.dumps(rejected)


@pytest.mark.parametrize("dropped", [0, 1, 2])
def test_a_record_with_a_lost_piece_is_refused(
    sealer: BundleSealer, release: ReleaseKeys, dropped: int
) -> None:
    pieces = [
        RejectedPiece(item_id(1), b"x", number, number == 2) for number in range(3) if number != dropped
    ]
    batch = sealer.seal_rejected(pieces)
    items = VaultOpener(release, batch.keys).open_blobs(batch.blobs).items
    with pytest.raises(SealBroken, match="SEAL_FORMAT"):
        join_rejected(items)


# --- the written-down format ------------------------------------------------------------------------------


def lp(*fields: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(field)) + field for field in fields)


def unlp(joined: bytes) -> list[bytes]:
    fields = []
    while joined:
        (length,) = struct.unpack(">I", joined[:4])
        fields.append(joined[4 : 4 + length])
        joined = joined[4 + length :]
    return fields


def open_as_documented(directory: Path, bundle: KeyRow, data: KeyRow, blob: BlobRow) -> list[list[bytes]]:
    """Follow docs/format.md step by step, with nothing of ours but the rows."""
    name, vault_id = b"cofferdam-sealed@v1", bundle.wrapping_key_id
    stored = (directory / "release" / f"vault_private-{vault_id.hex()}.key").read_bytes()
    private = hpke.MLKEM768X25519PrivateKey(
        MLKEM768PrivateKey.from_seed_bytes(stored[:64]), X25519PrivateKey.from_private_bytes(stored[64:])
    )
    suite = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
    info = lp(name, b"bundle key", vault_id, bundle.key_id, b"items")
    bundle_cipher = AESGCM(suite.decrypt(bundle.wrapped, private, info))
    aad = lp(name, b"data key", bundle.key_id, b"items", data.key_id)
    data_key = bundle_cipher.decrypt(data.wrapped[:12], data.wrapped[12:], aad)
    names = [
        (text or "").encode() for text in (blob.tenant, blob.meeting, blob.sender, blob.kind, blob.contract)
    ]
    context = lp(name, b"blob", *names, data.key_id, struct.pack(">I", blob.part), blob.item_ids)
    opener = Cobblestone256Decryptor(data_key, context)
    padded = opener.update(blob.ciphertext) + opener.finalize()
    assert len(padded) == blob.size_class
    (length,) = struct.unpack(">I", padded[:4])
    assert not padded[4 + length :].strip(b"\0")
    return [unlp(item) for item in unlp(zstandard.decompress(padded[4 : 4 + length]))]


def test_the_document_suffices_to_open_a_blob(sealer: BundleSealer, directory: Path) -> None:
    batch = sealer.seal_groups([group(items=2)._replace(sender=None)])
    opened = open_as_documented(directory, batch.keys[0], batch.keys[1], batch.blobs[0])
    assert opened == [[b"message", CANARY + b"\0"], [b"message", CANARY + b"\1"]]


def test_the_document_names_the_scheme() -> None:
    document = (Path(__file__).parents[3] / "docs" / "format.md").read_text()
    assert f"\n    {SCHEME}\n" in document


# --- rows that no sealer makes ----------------------------------------------------------------------------


@pytest.mark.parametrize("part", [-1, 2**32])
def test_an_impossible_part_is_refused(sealer: BundleSealer, release: ReleaseKeys, part: int) -> None:
    opener, (blob, _) = opener_and_blobs(sealer, release)
    with pytest.raises(SealBroken, match="SEAL_FORMAT"):
        opener.open_blob(blob._replace(part=part))


def test_a_bundle_key_of_a_wrong_length_is_refused(
    sealer: BundleSealer, ingest: IngestKeys, release: ReleaseKeys
) -> None:
    batch = sealer.seal_groups([group()])
    bundle = batch.keys[0]
    info = bundle_key_info(vault_id=ingest.vault_id, key_id=bundle.key_id, holds="items")
    short = bundle._replace(wrapped=ingest.wrap_to_vault(bytes(5), info=info))
    with pytest.raises(SealBroken, match="SEAL_KEY_BROKEN"):
        VaultOpener(release, [short, batch.keys[1]]).open_blob(batch.blobs[0])


def test_a_blob_with_more_ids_than_items_is_refused(sealer: BundleSealer, release: ReleaseKeys) -> None:
    batch = sealer.seal_groups([group()])
    opener = VaultOpener(release, batch.keys)
    forged = batch.blobs[0]._replace(item_ids=item_id(1) + item_id(2))
    packed = pack_joined(length_prefixed(b"one"), zstandard.ZstdCompressor())
    sealed = seal_message(opener.data_key(forged.key_id), packed, context=blob_context(forged))
    with pytest.raises(SealBroken, match="SEAL_FORMAT"):
        opener.open_blob(forged._replace(ciphertext=sealed))


@pytest.mark.parametrize("framed", [b"", b"\0\0\0\0"])
def test_a_rejected_piece_without_its_head_is_refused(framed: bytes) -> None:
    with pytest.raises(SealBroken, match="SEAL_FORMAT"):
        join_rejected([OpenedItem(item_id(1), framed)])


def test_a_closed_opener_holds_no_bundle_key(sealer: BundleSealer, release: ReleaseKeys) -> None:
    opener, blobs = opener_and_blobs(sealer, release)
    opener.open_blobs(blobs)
    assert any(type(value).__name__ == "AESGCM" for value in reachable(opener))
    opener.close()
    assert not any(type(value).__name__ == "AESGCM" for value in reachable(opener))
