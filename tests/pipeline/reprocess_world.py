"""A store that was written under a poor contract, and the mended contract, for tests of reprocessing."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import yaml

from pipelines.run_reprocess import ReprocessRequest, reprocess_store
from schemas.tables import QUARANTINE_ITEMS
from tests.pipeline.support import Opened, opened
from tests.unit.transforms.feature_contract import CONTRACT, EVENT
from transforms.store import Store

AS_OF = "2026-03-10T00:00:00Z"
TENANTS = ("t-1", "t-2")
_OF_EVENT = ("count", "text", "token", "ip", "why", "friends", "consent", "region", "passcode")
_INSIDE = ("who.email", "who.channel", "files[].size", "files[].marks")
UNKNOWN_BEFORE = frozenset(f"data.{name}" for name in (*_OF_EVENT, *_INSIDE))
"""Fields of the feature contract that the poor one does not name."""

Document = dict[str, Any]


def write_contract(
    folder: Path,
    without: Collection[str] = (),
    *,
    version: str = "2.2.0",
    change: Callable[[Document], None] = lambda _: None,
) -> Path:
    """The feature contract as a folder of contracts.

    Args:
        folder: The folder.
        without: Fields that it does not name, by their dotted paths.
        version: Its version.
        change: What else is changed of its document.
    """
    document = yaml.safe_load(CONTRACT)
    document["version"] = version
    (table,) = document["schema"]
    table["properties"] = _kept(table["properties"], "", without)
    for entry in table["customProperties"]:
        if entry["property"] == "envelope":
            entry["value"] = {role: path for role, path in entry["value"].items() if path not in without}
    change(document)
    folder.mkdir(parents=True)
    (folder / "features.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    return folder


def _kept(properties: list[Document], before: str, without: Collection[str]) -> list[Document]:
    found = []
    for each in properties:
        path = before + each["name"]
        if path in without:
            continue
        if "properties" in each:
            each["properties"] = _kept(each["properties"], f"{path}.", without)
        if "properties" in each.get("items", {}):
            each["items"]["properties"] = _kept(each["items"]["properties"], f"{path}[].", without)
        found.append(each)
    return found


def with_narrow_media(document: Document) -> None:
    """Let a contract know of no video: its value does not fit, and its body has no kind."""
    data = document["schema"][0]["properties"][-1]["properties"]
    named = {each["name"]: each for each in data}
    own = {each["name"]: each for each in named["files"]["items"]["properties"]}
    for entry in (named["media"], own["media"]):
        entry["customProperties"][0]["value"] = ["audio", "other"]
    for entry in (named["payload"], own["body"]):
        entry["customProperties"][0]["value"]["map"] = {"audio": "audio"}


def poor_contract(folder: Path) -> Path:
    """A contract that knows less than the feature contract."""
    return write_contract(folder, UNKNOWN_BEFORE, version="2.1.0", change=with_narrow_media)


def reprocess(store: Path, keys: Path, contracts: Path, **changes: Any) -> dict[str, Any]:
    """Reprocess a store under a folder of contracts."""
    asked: dict[str, Any] = {"as_of": AS_OF, "tenants": TENANTS, "contract_files": (contracts,), **changes}
    return reprocess_store(ReprocessRequest(str(store), keys / "release", **asked))


def rows_by_event(store: Path, table: str) -> dict[tuple[str, int], list[dict[str, Any]]]:
    """Rows of a table by event and place, but for the contract that each names."""
    state = Store.open(store)
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in state.read_table(table).to_pylist() if table in state.tables() else ():
        row.pop("contract", None)
        if "subjects" in row:
            row["subjects"] = sorted(map(repr, row["subjects"] or ()))
        found.setdefault((row["event_id"], row.get("position", 0)), []).append(row)
    return found


def parts_by_kind(found: Opened) -> dict[str, Counter[tuple[str, bytes]]]:
    """All sealed parts, by kind."""
    kinds: dict[str, Counter[tuple[str, bytes]]] = {}
    for item, parts in found.items.items():
        kinds.setdefault(found.kinds[item], Counter()).update(parts)
    return kinds


def sealed(store: Path, keys: Path) -> dict[str, Counter[tuple[str, bytes]]]:
    """What a store keeps sealed, by kind."""
    return parts_by_kind(opened(store, keys))


def claims(store: Path) -> dict[tuple[str, str], set[str]]:
    """What the rows of items tell of each event and kind, but for what sealing draws."""
    drawn = ("item_id", "key_id", "blob_part", "size_class", "contract")
    found: dict[tuple[str, str], set[str]] = {}
    for row in Store.open(store).read_table(QUARANTINE_ITEMS).to_pylist():
        told = {name: value for name, value in row.items() if name not in drawn}
        found.setdefault((row["event_id"], row["kind"]), set()).add(repr(told))
    return found


# --- random events ----------------------------------------------------------------------------------------

_ODD: tuple[Any, ...] = (None, "", 7, True, "Anna said", [], ["x"], {}, {"a": 1}, "eu", 1.5)


class Chance:
    """Random events of the feature contract, many of which do not fit it."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def events(self, number: int) -> list[dict[str, Any]]:
        """Events, each with an id of its own."""
        kinds = ("visit.came", "visit.went", "visit.noted")
        return [
            {**EVENT, "id": f"e-{each}", "type": self._one(*kinds), "data": self._data()}
            for each in range(number)
        ]

    def _one(self, *values: Any) -> Any:
        return self._random.choice(values)

    def _or_odd(self, *values: Any) -> Any:
        return self._one(*values, *values, *values, self._one(*_ODD))

    def _some(self, members: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in members.items() if self._random.random() < 0.6}

    def _few(self, make: Callable[[], Any]) -> Any:
        few = [self._or_odd(make()) for _ in range(self._random.randint(0, 3))]
        return self._one(few, few, few, self._one(*_ODD))

    def _mark(self) -> dict[str, Any]:
        return self._some({"at": self._or_odd(1, 99), "remark": self._or_odd("r", "s"), "new": 1})

    def _file(self) -> dict[str, Any]:
        return self._some(
            {
                "media": self._or_odd("audio", "video", "other"),
                "body": self._or_odd("b1", "b2"),
                "size": self._or_odd(1, 99, 100),
                "key": "k",
                "owner": self._or_odd("u-1", "u-2"),
                "marks": self._few(self._mark),
                "new": 1,
            }
        )

    def _who(self) -> dict[str, Any]:
        rest = {
            "email": self._or_odd("a@b.example"),
            "join_id": self._or_odd("j-1"),
            "name": "Anna",
            "channel": self._or_odd("app", "phone", "pigeon"),
            "is_host": self._or_odd(True, False),
        }
        return {"user_id": self._one("u-1", "u-2"), **self._some(rest)}

    def _data(self) -> dict[str, Any]:
        rest = {
            "began": self._or_odd("2026-03-01T10:00:00Z"),
            "region": self._or_odd("eu", "uk", "mars"),
            "title": self._or_odd("T"),
            "text": self._or_odd("hello"),
            "passcode": self._or_odd("p"),
            "token": self._or_odd("tok"),
            "ip": self._or_odd("203.0.113.9", "no"),
            "why": self._or_odd("Anna. Reason: left", "fed up"),
            "count": self._or_odd(0, 9, 10),
            "media": self._or_odd("audio", "video"),
            "payload": self._or_odd("bytes"),
            "friends": self._one(["u-1", "u-2"], ["u-1", 5], self._one(*_ODD)),
            "consent": self._one({"record_ids": ["cr-1"]}, {"refuses": True}, self._one(*_ODD)),
            "files": self._few(self._file),
            "new": self._or_odd(1),
        }
        who = self._or_odd(self._who())
        named = {"tenant_id": self._one(*TENANTS), "room": self._one("m-1", "m-2"), "who": who}
        return {**named, **self._some(rest)}
