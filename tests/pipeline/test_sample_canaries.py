"""Canaries in the places where real events have text and numbers: public samples, each leaf replaced."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.classification import Protection
from schemas.contract import ArrayNode, ContractSet, Field, Node, ObjectNode, load_contracts
from tests.pipeline.support import Ledger, ingest, lines_file, opened
from tests.pipeline.support_search import Canaries, everything_written, leaks, tokens_in

FOLDERS = ("zoom_webhooks", "zoom_rtms_and_plugin")
_TIME = re.compile(r"\d{4}-\d\d-\d\d.*")
_PERSONAL_NUMBER = re.compile(r"(^|_)(id|number|phone|pin|code|uuid|userid)s?$|Id$", re.IGNORECASE)

Planted = dict[bytes, tuple[str, tuple[str, ...]]]


class Replacer:
    """Puts a token in the place of every text but event types and times, and of numbers that people have."""

    def __init__(self) -> None:
        self.planted: Planted = {}
        self._canaries = Canaries()

    def replaced(self, value: Any, event: str, path: tuple[str, ...] = ()) -> Any:
        if isinstance(value, dict):
            return {key: self.replaced(member, event, (*path, key)) for key, member in value.items()}
        if isinstance(value, list):
            return [self.replaced(item, event, path) for item in value]
        if path in (("event",), ("msg_type",)):
            return value
        if isinstance(value, str) and not _TIME.fullmatch(value):
            return self._remember(self._canaries.word(), event, path)
        if type(value) is int and _PERSONAL_NUMBER.search(path[-1]):
            return self._remember(self._canaries.number(), event, path)
        return value

    def _remember(self, token: Any, event: str, path: tuple[str, ...]) -> Any:
        self.planted[str(token).encode()] = (event, path)
        return token


def sample_events(shared_folder: Path) -> Iterator[dict[str, Any]]:
    for folder in FOLDERS:
        for path in sorted((shared_folder / "sources" / "samples" / folder).glob("*.json")):
            try:
                event = json.loads(path.read_bytes())
            except ValueError:
                continue
            if isinstance(event, dict) and "event" in event:
                yield event


@pytest.fixture(scope="module")
def planting(
    shared_folder: Path, tmp_path_factory: pytest.TempPathFactory, keys: Path
) -> tuple[Planted, Ledger, Path]:
    folder = tmp_path_factory.mktemp("samples")
    replacer = Replacer()
    events = [replacer.replaced(event, str(event["event"])) for event in sample_events(shared_folder)]
    ledger = ingest(lines_file(folder / "in.jsonl", events), folder / "S", keys)
    assert ledger["outcomes"] == {"separated": len(events)}
    return replacer.planted, ledger, folder / "S"


def test_no_canary_in_a_sample_is_in_anything_that_a_run_writes(
    planting: tuple[Planted, Ledger, Path],
) -> None:
    planted, _, store = planting
    assert len(planted) > 1500
    assert leaks(everything_written(store)) == []


def test_every_canary_in_a_sample_is_sealed_dropped_or_a_pseudonym(
    planting: tuple[Planted, Ledger, Path], keys: Path
) -> None:
    planted, ledger, store = planting
    contracts = load_contracts()
    sealed = tokens_in(opened(store, keys).everything())
    missing = [where for token, where in planted.items() if token not in sealed]
    protections = {where: field_at(contracts, *where).protection for where in missing}
    assert set(protections.values()) == {Protection.PSEUDONYM, Protection.DROP}
    dropped = sum(protections[where] is Protection.DROP for where in missing)
    assert dropped == sum(row["values"] for row in ledger["dropped"])


def field_at(contracts: ContractSet, event: str, path: tuple[str, ...]) -> Field:
    node: Node = contracts.by_event["zoom", event].root
    for key in path:
        inner = node.items if isinstance(node, ArrayNode) else node
        if isinstance(inner, Field):
            return inner
        assert isinstance(inner, ObjectNode)
        node = inner.children[inner.aliases.get(key, key)]
    assert isinstance(node, Field)
    return node
