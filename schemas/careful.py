"""The careful decoder: one line at a time, for whatever the fast decoder cannot vouch for.

It reads the record with `schemas.strict_json`, walks the contract beside it, and gives the same columns as
`schemas.decoder` does for every line that both can read (a property-based test holds it to that). Values that
no field takes are handed on as raw bytes: unknown keys, and values whose JSON type does not fit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import msgspec
import numpy as np

from schemas.cells import Level, Path, UnknownValue, cell_type, is_raw, raw_column, typed_column
from schemas.contract import ITEMS, ArrayNode, EventShape, Field, Node, ObjectNode
from schemas.decoder import MAX_DEPTH
from schemas.decoder_plan import Learned
from schemas.strict_json import RecordFault, Value, parse_strict


@dataclass
class _Rows:
    """A level while it is being read: columns as lists that come with the fields that are met."""

    size: int = 0
    cells: dict[Path, list[Any]] = field(default_factory=dict)
    arrays: dict[Path, _Rows] = field(default_factory=dict)
    parent_rows: list[int] = field(default_factory=list)
    unknown: list[UnknownValue] = field(default_factory=list)

    def column(self, path: Path) -> list[Any]:
        column = self.cells.get(path)
        if column is None:
            column = self.cells[path] = [None] * self.size
        return column

    def as_level(self, fields: dict[Path, Field]) -> Level:
        cells = {
            path: raw_column(column) if is_raw(fields[path]) else typed_column(fields[path], column)
            for path, column in self.cells.items()
        }
        arrays = {path: below.as_level(fields) for path, below in self.arrays.items()}
        return Level(self.size, cells, arrays, np.array(self.parent_rows, dtype=np.int64), self.unknown)


class CarefulDecoder:
    """Decodes single lines of one shape.

    Args:
        shape: The event shape.
        learned: What has been learned about it; unknown keys and nulls that are met are added.
    """

    def __init__(self, shape: EventShape, learned: Learned) -> None:
        self._shape = shape
        self._learned = learned
        self.has_learned = False
        self._rows = _Rows()
        self._fields = {entry.path: entry for entry in shape.fields}
        # Below the deepest field of the contract nothing is walked, only sliced: keep no tree of it.
        self._keep_below = max(len(entry.path) for entry in shape.fields) + 1

    def level(self) -> Level:
        """The lines read so far, as columns."""
        return self._rows.as_level(self._fields)

    def read(self, line: bytes) -> None:
        """Read one line and append its cells.

        Raises:
            RecordFault: The line is no strict JSON object, or its event type is not one of the shape's: what
                led the line here may err, and must not choose a contract. Nothing has been appended.
        """
        record = parse_strict(line, max_depth=MAX_DEPTH, keep_below=self._keep_below)
        if record.kind != "object" or self._type_of(record, line) not in self._shape.events:
            raise RecordFault("NOT_AN_EVENT", 0)
        self._append_row(self._shape.root, (), self._rows, record, line)

    def _type_of(self, record: Value, line: bytes) -> str | None:
        found: Value | None = record
        for step in self._shape.type_at:
            members = (found.members if found else None) or ()
            found = next((member for key, member in members if key == step.encode()), None)
        if found is None or found.kind not in ("string", "number"):
            return None
        try:
            return str(_event_type(line[found.start : found.end]))
        except msgspec.MsgspecError:
            return None

    def _append_row(self, node: ObjectNode, path: Path, level: _Rows, value: Value, line: bytes) -> None:
        for cells in level.cells.values():
            cells.append(None)
        level.size += 1
        self._walk(node, path, level, value, line)

    def _walk(self, node: ObjectNode, path: Path, level: _Rows, value: Value, line: bytes) -> None:
        row = level.size - 1
        aliased: list[tuple[str, bytes, Value]] = []
        for key, member in value.members or ():
            name = key.decode()
            if name in node.children:
                self._member(node.children[name], (*path, name), level, member, line)
            elif name in node.aliases and isinstance(node.children[node.aliases[name]], Field):
                aliased.append((node.aliases[name], key, member))
                self.has_learned |= self._learned.activate((*path, name))
            else:
                level.unknown.append(UnknownValue(row, path, key, line[member.start : member.end]))
                self.has_learned |= self._learned.learn_unknown(path, key)
        for name, key, member in aliased:
            if level.column((*path, name))[row] is None:
                self._member(node.children[name], (*path, name), level, member, line)
            else:
                level.unknown.append(UnknownValue(row, path, key, line[member.start : member.end]))

    def _member(self, child: Node, path: Path, level: _Rows, value: Value, line: bytes) -> None:
        row = level.size - 1
        raw = line[value.start : value.end]
        self.has_learned |= self._learned.activate(path)
        if isinstance(child, Field):
            self._leaf(child, path, level, value, raw)
        elif value.kind == "null":
            return
        elif isinstance(child, ObjectNode) and value.kind == "object":
            self._walk(child, path, level, value, line)
        elif isinstance(child, ArrayNode) and value.kind == "array":
            self._elements(child, path, level, value, line)
        else:
            level.unknown.append(UnknownValue(row, path[:-1], None, raw, path))

    def _elements(self, child: ArrayNode, path: Path, level: _Rows, value: Value, line: bytes) -> None:
        row = level.size - 1
        elements = level.arrays.setdefault(path, _Rows())
        for item in value.items or ():
            if item.kind == "object":
                elements.parent_rows.append(row)
                self._append_row(child.items, (*path, ITEMS), elements, item, line)
            elif item.kind != "null":
                raw = line[item.start : item.end]
                level.unknown.append(UnknownValue(row, path[:-1], None, raw, path))

    def _leaf(self, entry: Field, path: Path, level: _Rows, value: Value, raw: bytes) -> None:
        if is_raw(entry):
            level.column(path)[-1] = raw
            if value.kind != "null":
                self._learned.learn_kind(entry.path, value.kind)
        elif value.kind == "null":
            self.has_learned |= self._learned.learn_null(entry.path)
        else:
            try:
                level.column(path)[-1] = _typed_decoder(entry).decode(raw)
                self._learned.learn_kind(entry.path, value.kind)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                level.unknown.append(UnknownValue(level.size - 1, path[:-1], None, raw, path))


_event_type = msgspec.json.Decoder(str | int).decode


@cache
def _typed_decoder(entry: Field) -> Any:
    return msgspec.json.Decoder(cell_type(entry))
