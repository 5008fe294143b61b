from __future__ import annotations

import json
import os
import pickle
import stat
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from schemas.errors import ConfigurationError, InfrastructureFault
from transforms.chunked_encryption import SealBroken
from transforms.key_destruction import destroy_key
from transforms.key_files import EPOCH_ROOT, VAULT_PRIVATE, describe_keys
from transforms.keys import (
    IngestKeys,
    ReleaseKeys,
    create_key_directory,
    load_ingest_keys,
    load_release_keys,
)

DAY = date(2026, 2, 3)
SECRET = bytes(range(32))


@pytest.fixture
def made(tmp_path: Path) -> Path:
    create_key_directory(tmp_path / "keys", created=DAY)
    return tmp_path / "keys"


def load_both(directory: Path) -> tuple[IngestKeys, ReleaseKeys]:
    return load_ingest_keys(directory / "ingest"), load_release_keys(directory / "release")


def test_what_ingest_wraps_release_unwraps(made: Path) -> None:
    ingest, release = load_both(made)
    wrapped = ingest.wrap_to_vault(SECRET, info=b"place")
    assert release.unwrap_from_vault(wrapped, vault_id=ingest.vault_id, info=b"place") == SECRET


def test_wrapping_is_the_hybrid_suite(made: Path) -> None:
    ingest, _ = load_both(made)
    assert len(ingest.wrap_to_vault(SECRET, info=b"")) == 1088 + 32 + len(SECRET) + 16


def test_both_sides_share_pseudonym_and_digest_keys_and_nothing_else(made: Path) -> None:
    ingest, release = load_both(made)
    assert (ingest.join_key, ingest.digest_key) == (release.join_key, release.digest_key)
    assert ingest.epoch_roots == release.epoch_roots
    everything = [path.read_bytes() for path in sorted(made.rglob("*.key"))]
    assert len(everything) - len(set(everything)) == 3


def test_ingest_holds_no_private_half(made: Path) -> None:
    private = next((made / "release").glob("vault_private-*")).read_bytes()
    ingest_bytes = b"".join(path.read_bytes() for path in (made / "ingest").iterdir())
    assert private[:32] not in ingest_bytes
    assert private[64:] not in ingest_bytes
    assert not hasattr(load_ingest_keys(made / "ingest"), "unwrap_from_vault")


def test_every_directory_makes_other_keys(made: Path, tmp_path: Path) -> None:
    create_key_directory(tmp_path / "other", created=DAY)
    ids = [{entry.key_id for entry in load_both(path)[0].descriptions} for path in (made, tmp_path / "other")]
    assert not ids[0] & ids[1]


@pytest.mark.parametrize("change", ["flip", "truncate", "extend", "empty"])
def test_a_changed_wrapping_does_not_unwrap(made: Path, change: str) -> None:
    ingest, release = load_both(made)
    wrapped = ingest.wrap_to_vault(SECRET, info=b"")
    flipped = bytes((wrapped[0] ^ 1,)) + wrapped[1:]
    changed = {"flip": flipped, "truncate": wrapped[:-1], "extend": wrapped + b"\0", "empty": b""}[change]
    with pytest.raises(SealBroken) as caught:
        release.unwrap_from_vault(changed, vault_id=ingest.vault_id, info=b"")
    assert caught.value.code == "SEAL_KEY_BROKEN"


def test_other_info_or_another_vault_does_not_unwrap(made: Path) -> None:
    ingest, release = load_both(made)
    wrapped = ingest.wrap_to_vault(SECRET, info=b"here")
    with pytest.raises(SealBroken, match="SEAL_KEY_BROKEN"):
        release.unwrap_from_vault(wrapped, vault_id=ingest.vault_id, info=b"there")
    with pytest.raises(SealBroken, match="SEAL_KEY_MISSING"):
        release.unwrap_from_vault(wrapped, vault_id=bytes(16), info=b"here")


def test_everything_is_private_to_its_owner(made: Path) -> None:
    modes = {path.is_dir(): stat.S_IMODE(path.stat().st_mode) for path in (made, *made.rglob("*"))}
    assert modes == {True: 0o700, False: 0o600}


def test_a_lax_umask_changes_nothing(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        create_key_directory(tmp_path / "keys", created=DAY)
    finally:
        os.umask(before)
    test_everything_is_private_to_its_owner(tmp_path / "keys")


def test_an_empty_directory_is_filled(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    create_key_directory(tmp_path / "keys", created=DAY)
    load_both(tmp_path / "keys")


def _put_in_the_way(target: Path, kind: str) -> None:
    (target.parent / "there").mkdir()
    if kind == "file":
        target.write_text("mine")
    elif kind == "filled":
        target.mkdir()
        (target / "mine").touch()
    else:
        target.symlink_to(target.parent / ("there" if kind == "link" else "nowhere"))


@pytest.mark.parametrize("kind", ["file", "filled", "link", "dangling"])
def test_nothing_is_overwritten(tmp_path: Path, kind: str) -> None:
    _put_in_the_way(tmp_path / "keys", kind)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigurationError, match="KEYS_EXIST"):
        create_key_directory(tmp_path / "keys", created=DAY)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_failure_halfway_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", _no_space)
    with pytest.raises(InfrastructureFault, match="KEYS_UNWRITABLE"):
        create_key_directory(tmp_path / "keys", created=DAY)
    assert list(tmp_path.iterdir()) == []


def _no_space(descriptor: int) -> None:
    raise OSError(28, "no space left")


def test_keys_pickle_as_a_path_and_load_again(made: Path) -> None:
    for keys in load_both(made):
        pickled = pickle.dumps(keys)
        for file in made.rglob("*.key"):
            assert file.read_bytes()[:16] not in pickled
        copy = pickle.loads(pickled)  # noqa: S301 - our own bytes
        assert (type(copy), copy.vault_id, copy.join_key) == (type(keys), keys.vault_id, keys.join_key)


def test_a_worker_loads_its_keys_once(made: Path) -> None:
    pickled = pickle.dumps(load_ingest_keys(made / "ingest"))
    assert pickle.loads(pickled) is pickle.loads(pickled)  # noqa: S301 - our own bytes


def test_reprs_show_ids_only(made: Path) -> None:
    for keys in load_both(made):
        assert keys.descriptions[0].key_id in repr(keys)
        for secret in (keys.join_key, keys.digest_key):
            assert repr(secret) not in repr(keys) + str(keys)
            assert secret.hex() not in repr(keys)


FAULTS: dict[str, tuple[str, Callable[[Path, Path], object]]] = {
    "missing key": ("KEYS_MISSING", lambda side, key: key.unlink()),
    "missing description": ("KEYS_MISSING", lambda side, key: (side / "keys.json").unlink()),
    "group may read key": ("KEYS_PERMISSIONS", lambda side, key: key.chmod(0o640)),
    "others may read description": ("KEYS_PERMISSIONS", lambda side, key: (side / "keys.json").chmod(0o604)),
    "others may enter side": ("KEYS_PERMISSIONS", lambda side, key: side.chmod(0o701)),
    "key is a link": ("KEYS_SYMLINK", lambda side, key: _replace_by_link(key)),
    "description is a link": ("KEYS_SYMLINK", lambda side, key: _replace_by_link(side / "keys.json")),
    "side is a link": ("KEYS_SYMLINK", lambda side, key: _replace_by_link(side)),
    "key is a directory": ("KEYS_CORRUPT", lambda side, key: _replace_by_directory(key)),
    "key is a pipe": ("KEYS_CORRUPT", lambda side, key: _replace_by_pipe(key)),
    "key truncated": ("KEYS_CORRUPT", lambda side, key: os.truncate(key, 31)),
    "key empty": ("KEYS_CORRUPT", lambda side, key: os.truncate(key, 0)),
    "key extended": ("KEYS_CORRUPT", lambda side, key: os.truncate(key, 33)),
    "key flipped": ("KEYS_CORRUPT", lambda side, key: _flip(key)),
    "description not JSON": ("KEYS_CORRUPT", lambda side, key: (side / "keys.json").write_text("{")),
    "description a list": ("KEYS_CORRUPT", lambda side, key: (side / "keys.json").write_text("[]")),
    "unknown purpose": ("KEYS_CORRUPT", lambda side, key: _edit(side, '"join_key"', '"other"')),
    "unknown algorithm": ("KEYS_CORRUPT", lambda side, key: _edit(side, "HMAC-SHA256", "HMAC-MD5")),
    "path in an id": ("KEYS_CORRUPT", lambda side, key: _edit(side, '"key_id": "', '"key_id": "../')),
    "a date that is none": ("KEYS_CORRUPT", lambda side, key: _edit(side, "2026-02-03", "2026-02-30")),
    "no keys listed": ("KEYS_CORRUPT", lambda side, key: _list_nothing(side)),
    "a later format": (
        "KEYS_FORMAT",
        lambda side, key: _edit(side, '"format_version": 1', '"format_version": 2'),
    ),
}


def _replace_by_link(path: Path) -> None:
    moved = path.rename(path.with_name(path.name + ".moved"))
    path.symlink_to(moved)


def _replace_by_directory(path: Path) -> None:
    path.unlink()
    path.mkdir(0o700)


def _replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[5] ^= 1
    path.write_bytes(content)


def _edit(side: Path, old: str, new: str) -> None:
    text = (side / "keys.json").read_text()
    assert old in text
    (side / "keys.json").write_text(text.replace(old, new))


def _list_nothing(side: Path) -> None:
    (side / "keys.json").write_text(f'{{"format_version": 1, "side": "{side.name}", "keys": []}}')


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("side", ["ingest", "release"])
def test_a_faulty_directory_is_refused_by_name_and_remedy(made: Path, side: str, fault: str) -> None:
    code, break_it = FAULTS[fault]
    break_it(made / side, next((made / side).glob("join_key-*")))
    with pytest.raises(InfrastructureFault) as caught:
        load_ingest_keys(made / side) if side == "ingest" else load_release_keys(made / side)
    assert caught.value.code == code
    assert str(made / side) in caught.value.message
    assert ";" in caught.value.message


@pytest.mark.parametrize("side", ["ingest", "release"])
def test_a_damaged_vault_key_is_refused(made: Path, side: str) -> None:
    _flip(next((made / side).glob("vault_*")))
    with pytest.raises(InfrastructureFault, match="KEYS_CORRUPT"):
        load_ingest_keys(made / side) if side == "ingest" else load_release_keys(made / side)


def test_each_loader_refuses_the_other_side(made: Path) -> None:
    with pytest.raises(InfrastructureFault, match="KEYS_WRONG_SIDE"):
        load_ingest_keys(made / "release")
    with pytest.raises(InfrastructureFault, match="KEYS_WRONG_SIDE"):
        load_release_keys(made / "ingest")


@pytest.fixture
def continued(made: Path, tmp_path: Path) -> Path:
    create_key_directory(tmp_path / "next", created=date(2026, 3, 1), continues=made)
    return tmp_path / "next"


def test_a_continued_directory_opens_old_and_new(made: Path, continued: Path) -> None:
    (old, _), (new, release) = load_both(made), load_both(continued)
    assert old.vault_id != new.vault_id == release.vault_id
    for keys in (old, new):
        wrapped = keys.wrap_to_vault(SECRET, info=b"")
        assert release.unwrap_from_vault(wrapped, vault_id=keys.vault_id, info=b"") == SECRET


def test_a_continued_directory_keeps_joins_and_starts_an_epoch(made: Path, continued: Path) -> None:
    old, new = load_ingest_keys(made / "ingest"), load_ingest_keys(continued / "ingest")
    assert (old.join_key, old.digest_key) == (new.join_key, new.digest_key)
    assert new.epoch_id != old.epoch_id
    assert new.epoch_roots[old.epoch_id] == old.epoch_roots[old.epoch_id]
    assert load_release_keys(continued / "release").epoch_roots == new.epoch_roots
    epochs = [entry.epoch for entry in new.descriptions if entry.purpose == EPOCH_ROOT]
    assert epochs == [2, 1]


def test_a_destroyed_vault_key_opens_nothing(made: Path, continued: Path) -> None:
    old, _ = load_both(made)
    wrapped = old.wrap_to_vault(SECRET, info=b"")
    destroy_key(continued / "release", "release", old.vault_id.hex())
    release = load_release_keys(continued / "release")
    with pytest.raises(SealBroken, match="SEAL_KEY_MISSING"):
        release.unwrap_from_vault(wrapped, vault_id=old.vault_id, info=b"")
    assert not list((continued / "release").glob(f"*{old.vault_id.hex()}*"))


def test_a_destroyed_key_is_overwritten_where_it_lay(made: Path, continued: Path) -> None:
    file = next((continued / "release").glob(f"*{load_ingest_keys(made / 'ingest').vault_id.hex()}*"))
    os.link(file, continued / "second name")
    destroy_key(continued / "release", "release", file.stem.rpartition("-")[2])
    assert (continued / "second name").read_bytes() == bytes(96)


def test_a_key_in_use_is_not_destroyed(continued: Path) -> None:
    current = describe_keys(continued / "release", "release")[0]
    assert current.purpose == VAULT_PRIVATE
    for key_id in (current.key_id, "00" * 16):
        with pytest.raises(InfrastructureFault, match="KEYS_NOT_RETIRED"):
            destroy_key(continued / "release", "release", key_id)
    load_release_keys(continued / "release")


def test_a_release_side_of_before_has_no_roots_and_is_given_them_when_it_is_continued(
    made: Path, tmp_path: Path
) -> None:
    release = made / "release"
    description = json.loads((release / "keys.json").read_text())
    description["keys"] = [entry for entry in description["keys"] if entry["purpose"] != EPOCH_ROOT]
    (release / "keys.json").write_text(json.dumps(description))
    assert load_release_keys(release).epoch_roots == {}
    create_key_directory(tmp_path / "continued", created=DAY, continues=made)
    ingest, release_keys = load_both(tmp_path / "continued")
    assert list(release_keys.epoch_roots.items()) == list(ingest.epoch_roots.items())
    assert len(release_keys.epoch_roots) == 2
