from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.consent_files import append_lines, records_table
from schemas.consent_signing import sign_record, verify_records
from schemas.errors import InfrastructureFault
from tests.unit.schemas.consent_samples import KEY, record, signing_key
from transforms.consent_intake import (
    Attested,
    IntakeCounts,
    Link,
    RecordIntake,
    RecordRange,
    decode_row,
    encode_row,
    plan_records,
    read_range,
    resolve,
    rows_of_people,
    scope_pseudonym,
    total_intake,
)
from transforms.keys import create_key_directory, load_release_keys
from transforms.pseudonyms import Pseudonymiser, join_pseudonyms


@pytest.fixture(scope="module")
def pseudonyms(tmp_path_factory: pytest.TempPathFactory) -> Pseudonymiser:
    from datetime import date

    directory = tmp_path_factory.mktemp("keys") / "K"
    create_key_directory(directory, created=date(2026, 3, 2))
    return join_pseudonyms(load_release_keys(directory / "release"))


def intake(pseudonyms: Pseudonymiser) -> RecordIntake:
    return RecordIntake({"k1": signing_key()}, pseudonyms, allow_test_keys=False)


def signed(**changes: object) -> bytes:
    return sign_record(record(**changes), KEY, "k1").encode()


# --- reading in ranges ------------------------------------------------------------------------------------


@given(
    lines=st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b" ").strip()), max_size=20),
    size=st.integers(1, 64),
    ended=st.booleans(),
)
def test_every_line_is_read_once_in_whatever_ranges(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], size: int, ended: bool
) -> None:
    file = tmp_path_factory.mktemp("r") / "records.jsonl"
    file.write_bytes(b"\n".join(lines) + (b"\n" if ended else b""))
    ranges = plan_records([str(file)], size) if file.stat().st_size else []
    assert [line for part in ranges for line in read_range(part)] == [line for line in lines if line]


def test_a_line_that_is_too_long_is_one_record_that_cannot_be_read(
    tmp_path: Path, pseudonyms: Pseudonymiser
) -> None:
    file = tmp_path / "records.jsonl"
    file.write_bytes(b"x" * 900_000 + b"\n" + signed() + b"\n")
    lines = [line for part in plan_records([str(file)], 100_000) for line in read_range(part)]
    assert len(lines) == 2
    taken = intake(pseudonyms)
    assert [subject is None for subject, _ in taken.take(lines)] == [True, False]


def test_parquet_and_json_lines_give_the_same(tmp_path: Path) -> None:
    tokens = [signed().decode(), signed(record_id="r-2").decode()]
    append_lines(tmp_path / "a.jsonl", tokens)
    verified = verify_records([f'"{token}"' for token in tokens], {"k1": signing_key()})
    pq.write_table(records_table(verified.records), tmp_path / "b.parquet")
    (plain,), (table,) = (plan_records([str(tmp_path / name)]) for name in ("a.jsonl", "b.parquet"))
    assert [line.strip(b'"') for line in read_range(plain)] == list(read_range(table))


@pytest.mark.parametrize("name", ["gone.jsonl", "gone.parquet"])
def test_what_cannot_be_read_is_a_fault_of_the_infrastructure(tmp_path: Path, name: str) -> None:
    with pytest.raises(InfrastructureFault, match="CONSENTS_UNREADABLE"):
        list(read_range(RecordRange(str(tmp_path / name), 0, 1)))


def test_a_broken_parquet_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(InfrastructureFault, match="CONSENTS_UNREADABLE"):
        plan_records([str(tmp_path)])


# --- what leaves the step ---------------------------------------------------------------------------------


def test_rows_name_nobody(pseudonyms: Pseudonymiser) -> None:
    ((subject, row),) = intake(pseudonyms).take([signed()])
    plain = record()
    raw = str(plain["pii_principal_id"]["value"])
    place = str(plain["x-meeting"]["scope"]).partition(":")[2]
    assert subject == pseudonyms.pseudonym(raw, identifier_type=plain["pii_principal_id"]["type"])
    assert raw.encode() not in row
    assert not place or place.encode() not in row


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        (b"no json", True),
        (b"{}", True),
        (b'{"event": {"event_state": "ConsentWithdrawn"}}', True),
        (b'{"event": {"event_state": "ConsentGiven"}}', False),
        (b'{"event": {"event_state": "ConsentRequested"}}', False),
    ],
)
def test_a_record_of_nobody_is_kept_if_it_may_be_a_no(
    pseudonyms: Pseudonymiser, line: bytes, kept: bool
) -> None:
    taken = intake(pseudonyms)
    rows = list(taken.take([line]))
    assert [subject for subject, _ in rows] == [None] * kept
    assert taken.counts.records == 1
    assert sum(taken.counts.faults.values()) == 1


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (signed(), ("given", "subject", None)),
        (
            signed(event__event_state="ConsentWithdrawn", x_meeting__grantor_role="admin"),
            ("withdrawn", "admin", None),
        ),
        (b'{"event": {"event_state": "Anna Fox"}, "x-meeting": {"grantor_role": "Anna Fox"}}', None),
    ],
)
def test_of_what_a_record_says_only_words_of_closed_sets_are_kept(
    pseudonyms: Pseudonymiser, line: bytes, said: tuple[str, str, str | None] | None
) -> None:
    taken = intake(pseudonyms)
    list(taken.take([line]))
    (sighted,) = taken.sighted
    if said is None:
        assert (sighted.status, sighted.grantor) == ("unreadable", "unreadable")
        assert sighted.fault in taken.counts.faults
    else:
        assert (sighted.status, sighted.grantor, sighted.fault) == said


@pytest.mark.parametrize("scope", [None, 7, "", "meeting:", "room:1", ["global"]])
def test_a_scope_that_cannot_be_read_is_none(pseudonyms: Pseudonymiser, scope: object) -> None:
    assert scope_pseudonym(scope, pseudonyms) is None


def test_scopes_are_under_the_join_key(pseudonyms: Pseudonymiser) -> None:
    assert scope_pseudonym("global", pseudonyms) == "global"
    for kind in ("meeting", "tenant"):
        wanted = f"{kind}:{pseudonyms.pseudonym('a:b', identifier_type=kind)}"
        assert scope_pseudonym(f"{kind}:a:b", pseudonyms) == wanted


@given(lines=st.lists(st.binary(max_size=20), max_size=10), cut=st.integers(0, 10))
def test_the_fingerprint_depends_on_the_records_alone(lines: list[bytes], cut: int) -> None:
    def counted(some: list[bytes]) -> IntakeCounts:
        counts = IntakeCounts()
        for line in some:
            counts.add_line(line)
        return counts

    shuffled = sorted(lines, key=lambda line: line[::-1])
    parts = total_intake([counted(shuffled[:cut]), counted(shuffled[cut:])])
    assert parts.fingerprint == counted(lines).fingerprint
    assert counted([*lines, b"one more"]).fingerprint != counted(lines).fingerprint


# --- whose records ----------------------------------------------------------------------------------------


def test_an_identifier_that_nobody_registered_is_its_own_person() -> None:
    assert resolve("x", []) == Link("x", "x")


def test_an_identifier_of_two_people_is_nobodys_and_its_no_is_everybodys_doubt() -> None:
    aliases = [Link("x", name, Attested("eu"), registered=True) for name in ("p1", "p2")]
    assert resolve("x", aliases) == Link("x", None, registered=True)
    yes, no, unclear = ({"id": "r", "status": word, "sig_ok": True} for word in ("given", "refused", None))
    rows = list(rows_of_people("x", aliases, map(encode_row, (yes, no, unclear))))
    assert [person for person, _ in rows] == ["p1", "p2", "p1", "p2"]
    assert {decode_row(row)["sig_ok"] for _, row in rows} == {False}
    assert "given" not in {decode_row(row)["status"] for _, row in rows}


def test_rows_follow_an_alias() -> None:
    alias = Link("x", "p1", registered=True)
    row = encode_row({"status": "given"})
    assert list(rows_of_people("x", [alias], [row])) == [("p1", row)]
