"""The yardstick: the per-event Beam pipeline that one would write first, doing the same work without checks.

It drops events that come twice (a `GroupByKey` over their hashes, which is how Beam is asked for that),
parses each event with ``json.loads``, sorts its fields by a dictionary of paths made from the same contracts,
reads times as times, replaces ids by HMAC pseudonyms, encrypts each item of content with AES-GCM under a key
of its own, notes who joined and left, and writes the same tables as Parquet. Every row, those of arrays and
of items too, says of which event it is, when that was, and which tenant, meeting and participant it belongs
to, as Cofferdam's rows do: without that, nobody could use them. It is kept small and fair: nothing but hashes
and lines is shuffled, rows are buffered and written in large groups, pseudonyms are made with ``hmac.digest``
and once an event. It looks for no earlier runs' events, does not reconcile, accepts any value of the right
JSON type, keeps the last of two equal keys, drops what it does not know, compresses no content, and notes of
an item neither what it was made from nor what is said of consent.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.coders import BytesCoder
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from schemas.classification import Protection
from schemas.contract import ArrayNode, EventShape, Field, Node, ObjectNode, load_contracts

ROLES = ("tenant", "meeting", "participant", "time")
TYPE_KEYS = ("type", "event", "msg_type")
COLUMN_TYPES: dict[str, tuple[type, ...]] = {
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "string": (str,),
    "timestamp": (int, str),
    "array": (list,),
}
"""What a Parquet column can take; pyarrow would stop at a value of another type."""
FLUSH_ROWS = 50_000
Row = dict[str, Any]


def rules_of(node: Node, beside: frozenset[tuple[str, ...]], path: tuple[str, ...] = ()) -> Any:
    """A contract as nested dictionaries by key; lists stand for arrays, fields for leaves.

    Args:
        node: Where in the contract.
        beside: Paths of what every row says already.
        path: Path of the node.
    """
    if isinstance(node, ObjectNode):
        rules = {
            key: rules_of(child, beside, (*path, key))
            for key, child in node.children.items()
            if (*path, key) not in beside
        }
        return rules | {alias: rules[key] for alias, key in node.aliases.items() if key in rules}
    return [rules_of(node.items, beside)] if isinstance(node, ArrayNode) else node


class _Separate(beam.DoFn):
    """An event (bytes) to rows: (table, row)."""

    def __init__(self) -> None:
        self._key = os.urandom(32)

    def setup(self) -> None:
        shapes = load_contracts().by_event
        self._rules = {
            event: (shape, rules_of(shape.root, _beside(shape))) for (_, event), shape in shapes.items()
        }
        self._bundle_key = AESGCM(AESGCM.generate_key(256))

    def process(self, found: tuple[bytes, bytes]) -> Iterator[tuple[str, Row]]:
        event_id, line = found
        event = json.loads(line)
        name = next((str(event[key]) for key in TYPE_KEYS if key in event), "")
        if name not in self._rules:
            return
        shape, rules = self._rules[name]
        table = shape.table
        every = self._every_row(event, event_id, name, shape)
        row: Row = dict(every)
        children: list[tuple[str, Row]] = []
        content: dict[str, list[Any]] = {}
        self._walk(event, rules, row, children, content, table, every)
        yield f"telemetry/{table}", row
        yield from children
        if name in shape.roster:
            yield "rosters", {"word": shape.roster[name], **every}
        for kind, values in content.items():
            yield "quarantine/items", {**every, **self._sealed(kind, values)}

    def _every_row(self, event: Row, event_id: bytes, name: str, shape: EventShape) -> Row:
        """What every row of an event says."""
        row: Row = {
            "event_id": event_id.hex(),
            "event_type": name,
            "source": shape.source,
            "contract": shape.contract_label,
        }
        for role in ROLES:
            found: Any = event
            for step in shape.envelope.get(role, ("",)):
                found = found.get(step) if isinstance(found, dict) else None
            row[f"event_{role}"] = _time(found) if role == "time" else self._pseudonym(found)
        return row

    def _pseudonym(self, value: Any) -> str:
        return hmac.digest(self._key, str(value).encode(), "sha256").hex()[:32]

    def _walk(
        self,
        value: Row,
        rules: Row,
        row: Row,
        children: list[tuple[str, Row]],
        content: dict[str, list[Any]],
        table: str,
        every: Row,
    ) -> None:
        for key, inner in value.items():
            rule = rules.get(key)
            if isinstance(rule, Field):
                self._take(inner, rule, row, content)
            elif isinstance(rule, list):
                for position, element in enumerate(inner):
                    child: Row = {**every, "position": position}
                    self._walk(element, rule[0], child, children, content, f"{table}__{key}", every)
                    children.append((f"telemetry/{table}__{key}", child))
            elif rule is not None:
                self._walk(inner, rule, row, children, content, table, every)

    def _take(self, value: Any, rule: Field, row: Row, content: dict[str, list[Any]]) -> None:
        if rule.protection is Protection.KEEP:
            kept = _number(value) if rule.text_form else value
            if type(kept) not in COLUMN_TYPES[rule.logical_type]:
                kept = None
            elif rule.logical_type == "timestamp":
                kept = _time(kept)
            row[rule.column or rule.path[-1]] = kept
        elif rule.protection is Protection.PSEUDONYM:
            values = value if isinstance(value, list) else [value]
            named = [self._pseudonym(each) for each in values]
            row[rule.column or rule.path[-1]] = named if isinstance(value, list) else named[0]
        elif rule.protection is Protection.TRUNCATE_IP:
            row[rule.column or rule.path[-1]] = value.rpartition(".")[0] + ".0/24"
        elif rule.protection is Protection.SEAL:
            content.setdefault(rule.kind, []).append(value)

    def _sealed(self, kind: str, values: list[Any]) -> Row:
        key, nonce = AESGCM.generate_key(256), os.urandom(12)
        ciphertext = AESGCM(key).encrypt(nonce, json.dumps(values).encode(), kind.encode())
        wrapped = self._bundle_key.encrypt(nonce, key, None)
        return {"kind": kind, "nonce": nonce, "ciphertext": ciphertext, "wrapped_key": wrapped}


def _beside(shape: EventShape) -> frozenset[tuple[str, ...]]:
    return frozenset({shape.type_at, *(shape.envelope[role] for role in ROLES if role in shape.envelope)})


def _time(value: Any) -> datetime | None:
    try:
        if isinstance(value, str):
            return datetime.fromisoformat(value)
        return datetime.fromtimestamp(value / 1000, UTC)
    except (TypeError, ValueError):
        return None


def _number(text: Any) -> float | None:
    digits = "".join(sign for sign in str(text) if sign.isdigit() or sign in ".-")
    return float(digits) if digits else None


class _WriteTables(beam.DoFn):
    """(table, row) to Parquet files; rows are buffered."""

    def __init__(self, output: str) -> None:
        self._output = output

    def start_bundle(self) -> None:
        self._rows: dict[str, list[Row]] = {}
        self._files = 0

    def process(self, element: tuple[str, Row]) -> None:
        table, row = element
        rows = self._rows.setdefault(table, [])
        rows.append(row)
        if len(rows) >= FLUSH_ROWS:
            self._flush(table)

    def finish_bundle(self) -> None:
        for table in list(self._rows):
            self._flush(table)

    def _flush(self, table: str) -> None:
        rows = self._rows.pop(table)
        folder = Path(self._output) / table
        folder.mkdir(parents=True, exist_ok=True)
        self._files += 1
        columns = {name: None for row in rows for name in row}
        data = {name: [row.get(name) for row in rows] for name in columns}
        path = folder / f"{os.urandom(8).hex()}.parquet"
        pq.write_table(pa.table(data), path, compression="zstd")


def main(patterns: Iterable[str], output: str) -> None:
    """Run the pipeline in this process."""
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        lines = [
            pipeline | f"Read{number}" >> beam.io.ReadFromText(pattern, coder=BytesCoder())
            for number, pattern in enumerate(patterns)
        ]
        once = (
            lines
            | beam.Flatten()
            | "Hash" >> beam.Map(lambda line: (hashlib.sha256(line).digest(), line))
            | "Repeats" >> beam.GroupByKey()
            | "First" >> beam.Map(lambda found: (found[0], next(iter(found[1]))))
        )
        rows = once | "Separate" >> beam.ParDo(_Separate())
        _ = rows | "Write" >> beam.ParDo(_WriteTables(output))


if __name__ == "__main__":
    main(sys.argv[1:-1], sys.argv[-1])
