from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.consent_import import import_records, load_mapping
from schemas.consent_signing import VerifiedRecord, verify_records
from schemas.errors import ConfigurationError, InfrastructureFault
from schemas.registry import Registry, load_registry
from schemas.registry_writing import PrivateKey
from tests.unit.schemas.consent_samples import CANARY, KEY, make_registry

FIELDS: dict[str, Any] = {
    "subject": {"from": "mail", "type": "email"},
    "status": {"from": "state", "values": {"IN": "given", "OUT": "withdrawn"}},
    "purposes": {"from": "uses", "split": ";", "values": {"train": "ai_training", "sum": "meeting_summary"}},
    "kinds": {"value": ["audio"]},
    "scope": {"from": "meeting", "prefix": "meeting:"},
    "recipients": {"value": ["first_party"]},
    "mechanism": {"value": "explicit_statement"},
    "terms": {"value": "example-2026-01"},
    "controller": {"value": "example-controller"},
    "event_time": {"from": "ms", "unit": "ms since 1970 UTC"},
    "bundled": {"from": "joint", "values": {"Y": True, "N": False}, "optional": True},
}
HEADER = "mail,state,uses,meeting,ms,joint\n"
LINE = f"{CANARY},IN,train;sum,m1,1767312000123,N\n"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    return load_registry(make_registry(tmp_path_factory.mktemp("made") / "registry"))


def write_mapping(folder: Path, form: str = "csv", **changes: Any) -> Path:
    fields = {name: source for name, source in {**FIELDS, **changes}.items() if source is not None}
    file = folder / "mapping.yaml"
    file.write_text(yaml.safe_dump({"source_system": "old-cmp", "format": form, "fields": fields}))
    return file


def imported(
    folder: Path, registry: Registry, content: str | bytes, form: str = "csv", **changes: Any
) -> list[VerifiedRecord]:
    file = folder / "export"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    mapping = load_mapping(write_mapping(folder, form, **changes))
    signer = PrivateKey("k1", KEY)
    tokens = import_records(file, mapping, registry, signer, ingested_at="2026-06-01T00:00:00Z")
    return list(verify_records(tokens, registry.keys).records)


def test_a_line_becomes_a_signed_and_attested_record(tmp_path: Path, registry: Registry) -> None:
    (found,) = imported(tmp_path, registry, HEADER + LINE)
    assert (found.fault, found.row["import_attested"], found.row["status"]) == (None, True, "given")
    assert found.row["purposes"] == ["ai_training", "meeting_summary"]
    assert found.row["scope"] == "meeting:m1"
    assert found.row["event_time"] == "2026-01-02T00:00:00.123000+00:00"
    assert found.subject is not None
    assert found.subject.value == CANARY


def test_json_lines_are_read_too(tmp_path: Path, registry: Registry) -> None:
    line = (
        f'{{"mail":"{CANARY}","state":"OUT","uses":["train"],"meeting":"m1","ms":1767312000000,"joint":""}}\n'
    )
    (found,) = imported(tmp_path, registry, "\n" + line, "jsonl")
    assert (found.row["status"], found.row["bundled"]) == ("withdrawn", False)


def test_importing_twice_gives_the_same_records(tmp_path: Path, registry: Registry) -> None:
    first, again = (imported(tmp_path, registry, HEADER + LINE + LINE) for _ in range(2))
    assert [each.row["id"] for each in first] == [each.row["id"] for each in again]
    assert len({each.row["id"] for each in first}) == 2
    digest = hashlib.sha256((HEADER + LINE + LINE).encode()).hexdigest()
    assert str(first[0].row["id"]).startswith(f"import-{digest[:32]}")


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (HEADER + LINE + LINE.replace("IN", "canary"), "line 3: status"),
        (HEADER + LINE.replace("train", "canary"), "line 2: purposes"),
        (HEADER + LINE.replace("m1,", ","), "line 2: scope"),
        (HEADER + LINE.replace("1767312000123", "canary"), "line 2: event_time"),
        (HEADER + LINE.replace(",N", ",canary"), "line 2: bundled"),
        (HEADER + LINE.replace(",N", ""), "line 2: not as many cells"),
        (HEADER.replace("state", "canary") + LINE, "line 2: status"),
        ("mail,mail\n", "line 1: the header"),
        (HEADER + LINE + '"canary\n', "line 3: not CSV"),
    ],
)
def test_what_is_not_understood_refuses_everything_without_values(
    tmp_path: Path, registry: Registry, content: str, where: str
) -> None:
    with pytest.raises(ConfigurationError, match="IMPORT_REFUSED") as caught:
        imported(tmp_path, registry, content)
    assert where in caught.value.message
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("line", ['{"mail":1,"mail":2}', "[1]", "canary"])
def test_lines_that_are_no_objects_refuse_everything(tmp_path: Path, registry: Registry, line: str) -> None:
    with pytest.raises(ConfigurationError, match="line 1: not one strict JSON object"):
        imported(tmp_path, registry, line, "jsonl")


def test_all_lines_that_are_not_understood_are_named_up_to_a_bound(
    tmp_path: Path, registry: Registry
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        imported(tmp_path, registry, HEADER + LINE.replace("IN", "?") * 30)
    assert "line 21: status" in caught.value.message
    assert "and 10 more" in caught.value.message


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"subject": None}, "fields.subject"),
        ({"subject": {"from": "mail"}}, "fields.subject"),
        ({"surprise": {"value": 1}}, "fields.surprise"),
        ({"ingested_at": {"value": "2020-01-01T00:00:00Z"}}, "fields.ingested_at"),
        ({"import_attestation": {"value": {}}}, "fields.import_attestation"),
        ({"kinds": {}}, "fields.kinds"),
        ({"kinds": {"from": "a", "value": "b"}}, "fields.kinds"),
        ({"kinds": {"form": "a"}}, "mapping.yaml: fields"),
    ],
)
def test_a_mapping_that_is_wrong_is_refused(tmp_path: Path, change: dict[str, Any], where: str) -> None:
    with pytest.raises(ConfigurationError, match="MAPPING_INVALID") as caught:
        load_mapping(write_mapping(tmp_path, **change))
    assert where in caught.value.message


@pytest.mark.parametrize("text", ["a: [", "source_system: x\nsource_system: y\n", "[]"])
def test_a_mapping_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "mapping.yaml").write_text(text)
    with pytest.raises(ConfigurationError, match="MAPPING_INVALID"):
        load_mapping(tmp_path / "mapping.yaml")


def test_files_that_are_missing_are_faults_of_the_infrastructure(tmp_path: Path, registry: Registry) -> None:
    with pytest.raises(InfrastructureFault, match="MAPPING_UNREADABLE"):
        load_mapping(tmp_path / "nothing.yaml")
    mapping, signer = load_mapping(write_mapping(tmp_path)), PrivateKey("k1", KEY)
    with pytest.raises(InfrastructureFault, match="IMPORT_UNREADABLE"):
        import_records(tmp_path / "no", mapping, registry, signer, ingested_at="2026-06-01T00:00:00Z")


def test_the_mapping_in_the_documentation_loads(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "consent.md").read_text()
    (tmp_path / "mapping.yaml").write_text(page.split("```yaml\n")[1].split("```")[0])
    assert load_mapping(tmp_path / "mapping.yaml").fields["scope"].prefix == "meeting:"


def test_what_is_not_utf_8_is_named_by_its_line(tmp_path: Path, registry: Registry) -> None:
    with pytest.raises(ConfigurationError, match="line 3: not UTF-8") as caught:
        imported(tmp_path, registry, (HEADER + LINE).encode() + b"canary\xe9\n")
    assert "canary" not in str(caught.value)
