from __future__ import annotations

import pyarrow as pa

from schemas.contract import load_contracts
from schemas.tables import FIXED_TABLES, column, leaves, telemetry_columns
from schemas.telemetry import all_telemetry_tables
from transforms.erase_coverage import KEPT, REACHED, unreached

PERSON = "identifier.pseudonymous"


def test_every_table_that_a_store_can_have_is_reached() -> None:
    assert unreached(FIXED_TABLES) == []
    telemetry = {name: table.schema for name, table in all_telemetry_tables(load_contracts()).items()}
    assert len(telemetry) > 50
    assert unreached(telemetry) == []


def test_a_new_table_with_an_identifier_is_named_until_a_rule_reaches_it() -> None:
    name = column("speaker", pa.string(), "Who spoke", classification=PERSON)
    inner = pa.struct([column("who", pa.string(), "Who", classification=PERSON)])
    nested = column("turns", pa.list_(pa.field("element", inner)), "Turns")
    plain = column("loss", pa.float64(), "Loss")
    found = unreached({"speakers": pa.schema([name, nested, plain])})
    assert found == ["speakers speaker", "speakers turns.list.element.who"]
    direct = column("mail", pa.string(), "Address", classification="identifier.direct")
    assert unreached({"people": pa.schema([direct])}) == ["people mail"]


def test_telemetry_is_reached_in_text_and_lists_and_nowhere_else() -> None:
    reached = column("host", pa.string(), "Host", classification=PERSON)
    lists = column("all", pa.list_(pa.field("element", pa.string())), "All", classification=PERSON)
    number = column("badge", pa.int64(), "Badge", classification=PERSON)
    inner = pa.struct([column("who", pa.string(), "Who", classification=PERSON)])
    nested = column("turn", inner, "Turn")
    schema = pa.schema([*telemetry_columns(), reached, lists, number, nested])
    assert unreached({"telemetry/new": schema}) == ["telemetry/new badge", "telemetry/new turn.who"]


def test_rules_name_columns_that_are_there() -> None:
    declared = {(table, path) for table, schema in FIXED_TABLES.items() for path, _ in leaves(schema)}
    known = {key for key in {*REACHED, *KEPT} if key[0] in FIXED_TABLES}
    assert known <= declared
