"""What it costs to erase one person: the same person, in stores of growing size.

A store grows by runs of one day each, of meetings of other people. The person is in the first days only, so
that the files that hold something of theirs are the same in every store; whatever an erasure takes longer in
a larger one, it owes to the store and not to the person.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.measure import measure
from pipelines.run_ingest import IngestRequest, run_ingest
from schemas.registry_writing import compare_pins, write_pins, write_starter
from transforms.sources import SPLIT_BYTES
from transforms.splitting import RECORD_CAP
from transforms.store import Store

ITEMS_A_MEETING, PEOPLE_A_MEETING = 5, 3
RUNS = (4, 16, 64)
THEIR_RUNS, THEIR_MEETINGS = (0, 3), 10
TENANT, SUBJECT, AS_OF = "example-tenant", "cofferdam.user_id:somebody", "2026-06-01T00:00:00Z"
_START = datetime(2026, 3, 2, 8, tzinfo=UTC)

Event = dict[str, Any]


def bench_erase(folder: Path, keys: Path, items: int, console: Console) -> list[dict[str, Any]]:
    """Erase the person from a store of a sixteenth of some items, of a quarter, and of all of them.

    Args:
        folder: Where stores are made and kept.
        keys: The key directory.
        items: Items in the largest store.
        console: Told how far it is.
    """
    world = folder / f"erase-{items}"
    if not (world / "registry").exists():
        world.mkdir(parents=True, exist_ok=True)
        write_starter(world / "registry", valid_from="2020-01-01T00:00:00Z")
        write_pins(world / "registry", compare_pins(world / "registry")[1])
        (world / "consents").mkdir()
        (world / "consents" / "records.jsonl").touch()
    rows = []
    for runs in RUNS:
        store = _grown(world, keys, runs, items // RUNS[-1])
        rows.append(_erased(world, store, keys))
        console.print(f"  {rows[-1]['items']:,} items: {rows[-1]['cpu_seconds']:.2f} CPU s", highlight=False)
    return rows


# --- the store --------------------------------------------------------------------------------------------


def _grown(world: Path, keys: Path, runs: int, items: int) -> Path:
    """A store of so many runs, made from the next smaller one; it is used again if it is there."""
    kept = world / f"store-{runs}"
    if kept.is_dir():
        return kept
    draft = world / "partial"
    shutil.rmtree(draft, ignore_errors=True)
    smaller = max((each for each in RUNS if each < runs), default=0)
    if smaller:
        copy_store(world / f"store-{smaller}", draft)
    for number in range(smaller, runs):
        _take(world / "events.jsonl", draft, keys, number, items)
    draft.rename(kept)
    return kept


def _take(source: Path, store: Path, keys: Path, number: int, items: int) -> None:
    with source.open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(event, separators=(",", ":")) + "\n" for event in _day(number, items))
    request = IngestRequest(
        patterns=(str(source),),
        store=str(store),
        keys=keys / "ingest",
        source="auto",
        contract_files=(),
        record_cap=RECORD_CAP,
        split_bytes=SPLIT_BYTES,
        received=_date_of(number),
        digest_since=_date_of(number),
    )
    run_ingest(request, show_progress=False)
    source.unlink()


def _date_of(number: int) -> date:
    return (_START + timedelta(days=number)).date()


def _day(number: int, items: int) -> Iterator[Event]:
    """The events of a day; on some days the person is in some of the meetings, and says something."""
    for meeting in range(items // ITEMS_A_MEETING):
        people = [f"u{number}-{meeting}-{seat}" for seat in range(PEOPLE_A_MEETING)]
        if number in THEIR_RUNS and meeting < THEIR_MEETINGS:
            people[0] = SUBJECT.partition(":")[2]
        start = _START + timedelta(days=number, seconds=meeting % 20_000)
        yield from _meeting(f"m{number}-{meeting}", people, start)


def _meeting(name: str, people: Sequence[str], start: datetime) -> Iterator[Event]:
    yield _event(name, "meeting.started", "s", start)
    for person in people:
        who = {"user_id": person, "join_id": f"{name}-{person}"}
        yield _event(name, "meeting.participant.joined", f"j-{person}", start, participant=who)
    for item in range(ITEMS_A_MEETING):
        who = {"user_id": people[item % len(people)]}
        said = {"message_id": f"{name}-{item}", "text": f"so be it, {item} times", "participant": who}
        yield _event(name, "chat.message.sent", f"c{item}", start + timedelta(minutes=item), **said)
    for person in people:
        who, end = {"user_id": person, "join_id": f"{name}-{person}"}, start + timedelta(minutes=50)
        yield _event(name, "meeting.participant.left", f"l-{person}", end, participant=who)
    yield _event(name, "meeting.ended", "e", start + timedelta(minutes=50))


def _event(meeting: str, kind: str, identity: str, time: datetime, **data: Any) -> Event:
    return {
        "specversion": "1.0",
        "id": f"{meeting}-{identity}",
        "source": "urn:example:platform",
        "type": f"io.cofferdam.{kind}.v1",
        "time": time.isoformat().replace("+00:00", "Z"),
        "data": {"tenant_id": TENANT, "meeting_id": meeting, **data},
    }


def copy_store(source: Path, target: Path) -> None:
    """Copy a store; files of tables, which are never changed in their place, as further names of the same."""

    def copied(one: str, other: str) -> None:
        (os.link if one.endswith(".parquet") else shutil.copy2)(one, other)

    shutil.copytree(source, target, copy_function=copied)


# --- the erasure ------------------------------------------------------------------------------------------


def _erased(world: Path, kept: Path, keys: Path) -> dict[str, Any]:
    store = world / "output"
    shutil.rmtree(store, ignore_errors=True)
    copy_store(kept, store)
    live = Store.open(store).snapshot.live.values()
    report = world / "erased.json"
    command = [sys.executable, "-m", "benchmarks.erase_child", str(store), str(keys), str(world), str(report)]
    measure(command, world / "erase.log")
    shutil.rmtree(store)
    sizes = {"files": len(live), "bytes": sum(record.size for record in live)}
    items = sum(record.rows for record in live if record.table == "quarantine/items")
    return {"items": items, **sizes, **json.loads(report.read_text())}


def print_erase(rows: list[dict[str, Any]], console: Console) -> None:
    """The figures as a table."""
    table = Table(title="Erasing one person", title_justify="left")
    headings = (
        "items",
        "files",
        "MB",
        "looked into",
        "rewritten",
        "CPU s",
        "MB read",
        "MB written",
        "peak MiB",
    )
    for heading in headings:
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            f"{row['items']:,}",
            f"{row['files']:,}",
            f"{row['bytes'] / 1e6:,.0f}",
            f"{row['looked_into']:,}",
            f"{row['rewritten']:,}",
            f"{row['cpu_seconds']:.2f}",
            f"{row['read_bytes'] / 1e6:,.1f}",
            f"{row['written_bytes'] / 1e6:,.1f}",
            f"{row['peak_bytes'] / 2**20:,.0f}",
        )
    console.print(table)
