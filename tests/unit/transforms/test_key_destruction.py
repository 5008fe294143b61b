"""Destroyed keys are gone from the folder, whatever interrupted the destruction."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from schemas.errors import InfrastructureFault
from transforms.key_destruction import destroy_copies, destroy_key, finish_destruction
from transforms.keys import create_key_directory, load_ingest_keys, load_release_keys

DAY = date(2026, 2, 3)


@pytest.fixture
def older(tmp_path: Path) -> Path:
    create_key_directory(tmp_path / "keys", created=DAY)
    return tmp_path / "keys"


@pytest.fixture
def newer(older: Path, tmp_path: Path) -> Path:
    create_key_directory(tmp_path / "next", created=DAY, continues=older)
    return tmp_path / "next"


def vault_of(directory: Path) -> str:
    return load_ingest_keys(directory / "ingest").vault_id.hex()


def strays(directory: Path) -> list[str]:
    keys = load_release_keys(directory / "release")
    known = {"keys.json", *(entry.file_name for entry in keys.descriptions)}
    return [path.name for path in (directory / "release").iterdir() if path.name not in known]


class Interrupted(BaseException):
    """Stands for the end of the process."""


STEPS = ["os.replace", "os.rename", "pathlib.Path.unlink", "pathlib.Path.replace", "os.write", "os.fsync"]


@pytest.mark.parametrize("step", STEPS)
def test_an_interrupted_destruction_is_finished(
    older: Path, newer: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    vault, number = vault_of(older), 0
    content = next((newer / "release").glob(f"*{vault}*")).read_bytes()
    while interrupted(monkeypatch, step, number, lambda: destroy_key(newer / "release", "release", vault)):
        number += 1
        finish_destruction(newer / "release", "release")
        if vault in {entry.key_id for entry in load_release_keys(newer / "release").descriptions}:
            continue
        break
    finish_destruction(newer / "release", "release")
    assert strays(newer) == []
    assert vault not in {entry.key_id for entry in load_release_keys(newer / "release").descriptions}
    assert content not in [path.read_bytes() for path in newer.rglob("*.key")]


def interrupted(monkeypatch: pytest.MonkeyPatch, step: str, number: int, act: Callable[[], object]) -> bool:
    """Do something that is interrupted at the given call of a function; false if it came to its end."""
    left = [number]
    owner_path, _, name = step.rpartition(".")
    owner = {"os": __import__("os"), "pathlib.Path": Path}[owner_path]
    real = getattr(owner, name)

    def call(*arguments: object, **options: object) -> object:
        if left[0] == 0:
            raise Interrupted
        left[0] -= 1
        return real(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, call)
        try:
            act()
        except Interrupted:
            return True
    return False


def test_copies_in_an_older_directory_go_though_they_are_current_there(older: Path, newer: Path) -> None:
    vault = vault_of(older)
    assert destroy_copies(older / "release", "release", [vault, "00" * 16]) == [vault]
    assert destroy_copies(older / "release", "release", [vault]) == []
    assert not list((older / "release").glob(f"*{vault}*"))
    with pytest.raises(InfrastructureFault, match="KEYS_RETIRED"):
        load_release_keys(older / "release")
    with pytest.raises(InfrastructureFault, match="KEYS_RETIRED"):
        create_key_directory(older.with_name("third"), created=DAY, continues=older)
    assert load_release_keys(newer / "release").older_vaults == (bytes.fromhex(vault),)


def test_files_that_are_no_keys_are_left_alone(newer: Path) -> None:
    (newer / "release" / "notes.txt").write_text("mine")
    (newer / "release" / "keys.json.bak").write_text("mine")
    finish_destruction(newer / "release", "release")
    assert strays(newer) == ["notes.txt", "keys.json.bak"] or strays(newer) == ["keys.json.bak", "notes.txt"]


def test_a_directory_that_cannot_be_written_is_named(newer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (newer / "release" / ("vault_private-" + "0" * 32 + ".key")).write_bytes(bytes(96))

    def no_write(*_: object) -> int:
        raise OSError(30, "read-only file system")

    monkeypatch.setattr("os.write", no_write)
    with pytest.raises(InfrastructureFault, match="KEYS_UNWRITABLE"):
        finish_destruction(newer / "release", "release")
