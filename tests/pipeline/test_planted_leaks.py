"""The search for canaries finds leaks: each way of writing a token, and protections that were taken away."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.pipeline.support import ingest, lines_file
from tests.pipeline.support_events import joined
from tests.pipeline.support_search import Canaries, everything_written, leaks
from transforms.pseudonym_spaces import PseudonymSpaces

WORD = Canaries().word()
NUMBER = Canaries().number()
WAYS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "capitals": str.upper,
    "reversed": lambda text: text[::-1],
    "hex": lambda text: text.encode().hex(),
    "hex in capitals": lambda text: text.encode().hex().upper(),
    "base64 at 0": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 at 1": lambda text: base64.b64encode(f"x{text}y".encode()).decode(),
    "base64 at 2": lambda text: base64.b64encode(f"xx{text}yy".encode()).decode(),
    "base64, reversed": lambda text: base64.b64encode(text[::-1].encode()).decode(),
    "url-safe base64": lambda text: base64.urlsafe_b64encode(f"??{text}".encode()).decode().rstrip("="),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("token", [WORD, str(NUMBER)])
def test_a_token_is_found_in_whatever_way_it_is_written(way: str, token: str, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text(f"before {WAYS[way](token)} after")
    assert leaks(everything_written(tmp_path))


@pytest.mark.parametrize("kind", [pa.int64(), pa.float64(), pa.string()])
def test_a_number_is_found_in_a_parquet_file_whatever_its_type(kind: pa.DataType, tmp_path: Path) -> None:
    pq.write_table(pa.table({"n": pa.array([NUMBER]).cast(kind)}), tmp_path / "a.parquet", compression="zstd")
    found = leaks(everything_written(tmp_path))
    assert any(place.startswith("n of a.parquet") for place in found)
    assert any(place.startswith("a.parquet") for place in found), "not in the file's statistics"


def test_a_token_is_found_in_nested_columns_in_names_and_in_metadata(tmp_path: Path) -> None:
    nested = pa.table({"a": [[{"b": WORD.encode()}]]})
    pq.write_table(nested, tmp_path / "nested.parquet", write_statistics=False, compression="zstd")
    (tmp_path / f"{WORD}.txt").write_text("nothing")
    pq.write_table(pa.table({"a": [1]}).replace_schema_metadata({"by": WORD.upper()}), tmp_path / "m.parquet")
    found = " ".join(leaks(everything_written(tmp_path)))
    assert all(place in found for place in ("a of nested.parquet", f"the name of {WORD}.txt", "m.parquet"))


def test_what_holds_no_token_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_bytes(bytes(range(256)) * 1000 + b"qvxk zjwp 7391 4286")
    assert leaks(everything_written(tmp_path)) == []


@pytest.mark.parametrize("way", ["plain", "hex", "base64 at 1", "reversed"])
def test_a_pseudonym_that_is_none_is_found(
    way: str, tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leaking(
        _: PseudonymSpaces, kind: str, values: Sequence[str | None], tenants: Sequence[str | None]
    ) -> pa.Array:
        return pa.array(
            [None if value is None else WAYS[way](value) for value in _texts(values)], pa.string()
        )

    event = joined(1)
    event["payload"]["object"]["participant"]["participant_user_id"] = WORD
    path = lines_file(tmp_path / "in.jsonl", [event])
    ingest(path, tmp_path / "tight", keys)
    monkeypatch.setattr(PseudonymSpaces, "telemetry", leaking)
    ingest(path, tmp_path / "leaking", keys)
    assert leaks(everything_written(tmp_path / "tight")) == []
    assert leaks(everything_written(tmp_path / "leaking"))


def _texts(values: Any) -> list[str | None]:
    found: list[str | None] = values.to_pylist() if hasattr(values, "to_pylist") else list(values)
    return found


LAX = """\
apiVersion: v3.1.0
kind: DataContract
id: cofferdam-call
name: Calls
version: 1.0.0
status: active
customProperties:
  - {property: source, value: cofferdam}
  - {property: family, value: call}
  - {property: typeAt, value: type}
schema:
  - name: call
    logicalType: object
    customProperties:
      - {property: events, value: [call.ended]}
      - {property: envelope, value: {id: id, time: time, source: source}}
    properties:
      - name: specversion
        logicalType: string
        classification: envelope
        customProperties: [{property: values, value: ["1.0"]}]
      - {name: id, logicalType: string, classification: envelope}
      - {name: source, logicalType: string, classification: envelope}
      - {name: type, logicalType: string, classification: envelope}
      - {name: time, logicalType: timestamp, classification: envelope}
      - {name: topic, logicalType: string, classification: %s}
"""


@pytest.mark.parametrize(
    ("classification", "leaking"),
    [
        ("content.meeting_title", False),
        ('service.usage, logicalTypeOptions: {pattern: "[a-z]{2,12}", maxLength: 12}', True),
    ],
)
def test_a_contract_that_lets_a_title_pass_is_found(
    classification: str, leaking: bool, tmp_path: Path, keys: Path
) -> None:
    contract = tmp_path / "call.yaml"
    contract.write_text(LAX % classification)
    event = {"specversion": "1.0", "id": "1", "source": "urn:x", "type": "call.ended", "topic": WORD}
    path = lines_file(tmp_path / "in.jsonl", [json.dumps(event).encode()])
    ledger = ingest(path, tmp_path / "S", keys, contract_files=(contract,))
    assert ledger["outcomes"] == {"separated": 1}
    assert bool(leaks(everything_written(tmp_path / "S"))) is leaking
