"""Pseudonyms of past events are those of their own epoch, or none."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from transforms.key_destruction import destroy_key
from transforms.key_files import RELEASE
from transforms.keys import ReleaseKeys, create_key_directory, load_release_keys
from transforms.pseudonyms import TENANT_TYPE, telemetry_pseudonyms
from transforms.reprocess_epochs import (
    EPOCH_UNLINKED,
    TENANT_UNKNOWN,
    Epochs,
    Linked,
    PartPseudonyms,
)

MARCH, APRIL, MAY = date(2026, 3, 1), date(2026, 4, 1), date(2026, 5, 1)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys of three epochs: March, April and May."""
    folder = tmp_path_factory.mktemp("epochs")
    create_key_directory(folder / "1", created=MARCH)
    create_key_directory(folder / "2", created=APRIL, continues=folder / "1")
    create_key_directory(folder / "3", created=MAY, continues=folder / "2")
    return folder / "3" / "release"


@pytest.fixture
def keys(directory: Path) -> ReleaseKeys:
    return load_release_keys(directory)


def without(keys: ReleaseKeys, *epochs: int, folder: Path) -> ReleaseKeys:
    """The keys after the roots of some epochs were destroyed."""
    copy = folder / "release"
    shutil.copytree(keys.directory, copy)
    for entry in keys.descriptions:
        if entry.purpose == "pseudonym_epoch_root" and entry.epoch in epochs:
            destroy_key(copy, RELEASE, entry.key_id)
    return load_release_keys(copy)


def roots(keys: ReleaseKeys) -> list[bytes]:
    """The roots, the oldest first."""
    return list(keys.epoch_roots)[::-1]


@pytest.mark.parametrize(
    ("day", "epoch"),
    [
        (date(2026, 2, 1), 0),
        (MARCH, 0),
        (date(2026, 3, 31), 0),
        (APRIL, 1),
        (date(2026, 4, 9), 1),
        (date(2026, 7, 1), 2),
    ],
)
def test_an_event_belongs_to_the_epoch_of_its_day(keys: ReleaseKeys, day: date, epoch: int) -> None:
    assert Epochs(keys).of_day(day) == roots(keys)[epoch]


@pytest.mark.parametrize(
    ("gone", "unlinked", "linked"), [((1,), [MARCH], [APRIL, MAY]), ((2,), [date(2026, 4, 9), MARCH], [MAY])]
)
def test_no_epoch_takes_the_place_of_one_that_is_destroyed(
    keys: ReleaseKeys, tmp_path: Path, gone: tuple[int, ...], unlinked: list[date], linked: list[date]
) -> None:
    """Where the middle one is gone nobody knows when it began, so the days before it are in doubt, too."""
    epochs = Epochs(without(keys, *gone, folder=tmp_path))
    assert [epochs.of_day(day) for day in unlinked] == [None] * len(unlinked)
    assert None not in [epochs.of_day(day) for day in linked]
    assert epochs.of_row("0" * 32, unlinked[0]) == EPOCH_UNLINKED


def test_a_row_tells_its_epoch_by_its_tenant(keys: ReleaseKeys) -> None:
    """Whatever day it seems to be of."""
    epochs = Epochs(keys, ["other", "t-1"])
    for root in keys.epoch_roots:
        name = telemetry_pseudonyms(keys, epoch_id=root).pseudonym("t-1", identifier_type=TENANT_TYPE)
        assert epochs.of_row(name, MAY) == Linked(root, "t-1")
    assert epochs.of_row("0" * 32, MAY) == TENANT_UNKNOWN
    assert epochs.of_row(None, MARCH) == Linked(roots(keys)[0], None)


def test_pseudonyms_are_made_for_the_one_tenant(keys: ReleaseKeys) -> None:
    root = roots(keys)[1]
    made = PartPseudonyms(keys, Linked(root, "t-1")).telemetry("device", pa.array(["d", None]), None)
    expected = telemetry_pseudonyms(keys, epoch_id=root).pseudonym(
        "d", identifier_type="device", tenant="t-1"
    )
    assert made.to_pylist() == [expected, None]
    assert PartPseudonyms(keys, None).telemetry("device", pa.array(["d"]), None).to_pylist() == [None]
    assert "t-1" not in repr(Linked(root, "t-1"))
