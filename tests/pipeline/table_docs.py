"""The tables in docs/store.md, made from the declared schemas: ``python -m tests.pipeline.table_docs``."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from schemas.tables import FIXED_TABLES, fact, telemetry_columns

PAGE = Path(__file__).parents[2] / "docs" / "store.md"
BEGIN = "<!-- tables: begin (made by tests/pipeline/table_docs.py) -->\n"
END = "<!-- tables: end -->"


def page_with_tables(text: str) -> str:
    """A page with its tables as the schemas declare them now."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{_all_tables()}\n{END}{tail}"


def _all_tables() -> str:
    sections = [_section("Every telemetry table", pa.schema(telemetry_columns()))]
    sections += [_section(f"`{name}`", schema) for name, schema in FIXED_TABLES.items()]
    return "\n".join(sections)


def _section(title: str, schema: pa.Schema) -> str:
    rows = [_row(field) for field in schema]
    return "\n".join(
        [f"### {title}", "", "| Column | Type | Unit | Meaning |", "|---|---|---|---|", *rows, ""]
    )


def _row(field: pa.Field) -> str:
    words = (f"`{field.name}`", _short(field.type), fact(field, "unit"), fact(field, "description"))
    return "| " + " | ".join(word.replace("|", "\\|") for word in words) + " |"


def _short(type_: pa.DataType) -> str:
    """A type as people write it; times all have one unit, which is said once on the page."""
    if pa.types.is_timestamp(type_):
        return "timestamp"
    if pa.types.is_list(type_):
        return f"list of {_short(type_.value_type)}"
    if pa.types.is_struct(type_):
        return "struct of " + ", ".join(f"{field.name} ({_short(field.type)})" for field in type_)
    return {"date32[day]": "date", "fixed_size_binary[16]": "16 bytes"}.get(str(type_), str(type_))


if __name__ == "__main__":
    PAGE.write_text(page_with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
