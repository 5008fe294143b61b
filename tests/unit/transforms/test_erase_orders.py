from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from schemas.errors import InfrastructureFault
from transforms.erase_orders import (
    Order,
    delete_drafts,
    finish_orders,
    people_of,
    read_orders,
    refuse_unfinished,
    write_order,
)
from transforms.erase_reach import Identifier
from transforms.keys import ReleaseKeys, create_key_directory, load_release_keys
from transforms.release_rules import ReleaseRules
from transforms.store_files import StoreFiles, open_files

ADA = Identifier("email", "ada@example.org")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> ReleaseKeys:
    folder = tmp_path_factory.mktemp("keys") / "K"
    create_key_directory(folder, created=date(2026, 1, 1))
    return load_release_keys(folder / "release")


@pytest.fixture
def files(tmp_path: Path) -> StoreFiles:
    return open_files(tmp_path)


def rules(held: Mapping[str, bool]) -> ReleaseRules:
    """Rules that know of one tenant which meetings are held."""
    view = SimpleNamespace(attested_of=lambda meeting: {"legal_hold": held.get(meeting, False)})
    return cast(Any, SimpleNamespace(tenants={"t": view}))


def test_an_order_is_kept_until_it_is_done_and_names_nobody(
    files: StoreFiles, keys: ReleaseKeys, tmp_path: Path
) -> None:
    order = Order("run-000001", (ADA,), due=True)
    write_order(files, keys, order)
    (file,) = tmp_path.rglob("*.order")
    assert b"ada" not in file.read_bytes()
    assert "ada" not in repr(order) + file.name
    assert read_orders(files, keys) == [order]
    assert people_of(read_orders(files, keys)) == {ADA}
    finish_orders(files, [order])
    assert read_orders(files, keys) == []


def test_an_order_that_was_changed_or_renamed_stops_everything(
    files: StoreFiles, keys: ReleaseKeys, tmp_path: Path
) -> None:
    write_order(files, keys, Order("run-000001", (ADA,), due=False))
    (file,) = tmp_path.rglob("*.order")
    file.rename(file.with_name("run-000002-open.order"))
    with pytest.raises(InfrastructureFault) as caught:
        read_orders(files, keys)
    assert caught.value.code == "ERASURE_ORDER_BROKEN"


def test_a_draft_of_an_order_is_none_and_goes(files: StoreFiles, keys: ReleaseKeys, tmp_path: Path) -> None:
    (tmp_path / "erasures").mkdir()
    (tmp_path / "erasures" / ".draft-0011").write_bytes(b"half")
    assert read_orders(files, keys) == []
    delete_drafts(files)
    assert list(tmp_path.rglob("*draft*")) == []


def test_nothing_is_released_before_an_order_is_carried_out(files: StoreFiles, keys: ReleaseKeys) -> None:
    refuse_unfinished(files, keys, rules({}))
    write_order(files, keys, Order("run-000001", (ADA,), due=False))
    with pytest.raises(InfrastructureFault) as caught:
        refuse_unfinished(files, keys, rules({}))
    assert caught.value.code == "ERASURE_UNFINISHED"


def test_what_is_held_does_not_stop_other_releases_until_the_hold_ends(
    files: StoreFiles, keys: ReleaseKeys
) -> None:
    write_order(files, keys, Order("run-000001", (ADA,), due=False, held_in=(("t", "m1"), ("t", "m2"))))
    refuse_unfinished(files, keys, rules({"m1": True, "m2": True}))
    with pytest.raises(InfrastructureFault):
        refuse_unfinished(files, keys, rules({"m1": True}))
