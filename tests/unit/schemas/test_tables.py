from __future__ import annotations

import pyarrow as pa
import pytest

from schemas.classification import CLASSIFICATIONS
from schemas.tables import (
    FIXED_TABLES,
    OPAQUE,
    PREVIEW_COLUMNS,
    QUARANTINE_BLOBS,
    QUARANTINE_KEYS,
    ROSTER,
    column,
    fact,
    holds_identifier,
    lane_of_column,
    leaves,
    telemetry_columns,
)
from transforms.manifests import check_table_name
from transforms.sealed_format import BlobRow, KeyRow


@pytest.mark.parametrize("table", FIXED_TABLES)
def test_every_column_explains_itself(table: str) -> None:
    check_table_name(table)
    for field in FIXED_TABLES[table]:
        assert fact(field, "description")
        assert fact(field, "classification") in CLASSIFICATIONS
        assert fact(field, "lane") in ("service", "metadata", "content")


def test_times_and_sizes_have_units() -> None:
    fields = [field for schema in FIXED_TABLES.values() for field in schema]
    fields += telemetry_columns()
    assert all(fact(field, "unit") for field in fields if pa.types.is_timestamp(field.type))
    assert all(fact(field, "unit") for field in fields if field.name in ("size_class", "offset", "records"))


def test_sealed_bytes_are_opaque_and_never_in_a_lighter_lane() -> None:
    for table, name in ((QUARANTINE_BLOBS, "ciphertext"), (QUARANTINE_KEYS, "wrapped")):
        field = FIXED_TABLES[table].field(name)
        assert (lane_of_column(field), fact(field, "storage")) == ("content", OPAQUE)


def test_blob_and_key_rows_have_the_columns_of_their_tables() -> None:
    assert set(FIXED_TABLES[QUARANTINE_BLOBS].names) == set(BlobRow._fields)
    assert set(FIXED_TABLES[QUARANTINE_KEYS].names) == set(KeyRow._fields)


def test_a_field_inside_a_list_of_structs_is_a_leaf_with_its_own_words() -> None:
    found = dict(leaves(FIXED_TABLES[ROSTER]))
    assert holds_identifier(found["subjects.list.element.pseudonym"])
    assert not holds_identifier(found["subjects.list.element.type"])


def test_a_leaf_without_words_takes_those_of_its_column() -> None:
    schema = pa.schema([column("ids", pa.list_(pa.string()), "x", classification="identifier.meeting")])
    assert holds_identifier(dict(leaves(schema))["ids.list.element"])


def test_a_column_without_words_counts_as_content() -> None:
    assert lane_of_column(pa.field("x", pa.string())) == "content"


def test_previews_name_existing_columns_and_nothing_of_content() -> None:
    for table, names in PREVIEW_COLUMNS.items():
        for name in names:
            field = FIXED_TABLES[table].field(name)
            assert lane_of_column(field) != "content"
            assert not holds_identifier(field)
