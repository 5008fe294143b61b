"""Tables travel as Arrow IPC: whole, typed, and with their own rows only."""

from __future__ import annotations

import apache_beam as beam
import pyarrow as pa
from apache_beam.coders.typecoders import registry
from apache_beam.testing.util import assert_that
from hypothesis import given
from hypothesis import strategies as st

from transforms.arrow_coder import ArrowTableCoder
from transforms.duplicates import DIGEST_SCHEMA

CODER = ArrowTableCoder()
SCHEMA = pa.schema(
    [
        pa.field("a", pa.list_(pa.field("element", pa.string())), metadata={"unit": "ms"}),
        pa.field("b", pa.binary(16)),
        pa.field("c", pa.timestamp("ms", tz="UTC")),
    ],
    metadata={"k": "v"},
)
_rows = st.fixed_dictionaries(
    {
        "a": st.none() | st.lists(st.none() | st.text(max_size=4), max_size=3),
        "b": st.none() | st.binary(min_size=16, max_size=16),
        "c": st.none() | st.integers(0, 2**41),
    }
)


@given(rows=st.lists(_rows, max_size=9), start=st.integers(0, 9), chunks=st.booleans())
def test_a_table_comes_back_as_it_was(rows: list[dict[str, object]], start: int, chunks: bool) -> None:
    table = pa.Table.from_pylist(rows, schema=SCHEMA).slice(start)
    if chunks:
        table = pa.concat_tables([table, table])
    back = CODER.decode(CODER.encode(table))
    assert back.equals(table, check_metadata=True)
    assert back.schema.equals(table.schema, check_metadata=True)


def test_a_slice_carries_its_own_rows_only() -> None:
    whole = pa.table({"a": ["x" * 100] * 10_000})
    assert len(CODER.encode(whole.slice(5_000, 10))) < 4_000
    assert CODER.decode(CODER.encode(whole.slice(5_000, 10))).num_rows == 10


def test_beam_uses_it_for_tables() -> None:
    assert isinstance(registry.get_coder(pa.Table), ArrowTableCoder)
    assert CODER.to_type_hint() is pa.Table


def test_a_table_is_never_a_key() -> None:
    assert CODER.is_deterministic() is False
    one = pa.table({"a": [1, 2]})
    two = pa.concat_tables([one.slice(0, 1), one.slice(1)])
    assert one == two
    assert CODER.encode(one) != CODER.encode(two)


def test_a_pipeline_groups_tables() -> None:
    def rows(group: tuple[int, list[pa.Table]]) -> int:
        return sum(table.num_rows for table in group[1])

    def sums_to_five(found: list[int]) -> None:
        assert found == [5]

    tables = [(1, DIGEST_SCHEMA.empty_table()), (1, pa.table({"a": range(5)}))]
    with beam.Pipeline(runner="apache_beam.runners.portability.fn_api_runner.FnApiRunner") as pipeline:
        numbers = pipeline | beam.Create(tables) | beam.GroupByKey() | beam.Map(rows)
        assert_that(numbers, sums_to_five)
