"""docs/scale.md: every derived number is computed again, and the inputs are those of the code."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from transforms.bigquery_load import MOST_FILES
from transforms.duplicates import SHARDS
from transforms.parquet_files import FILE_ROWS

ROOT = Path(__file__).parents[2]
GIB, DAY, MILLION = 1 << 30, 86_400, 1_000_000


def rows(start: str, end: str) -> list[list[str]]:
    """Cells of the table between two marks, without its head."""
    page = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    text = page.split(f"<!-- {start} -->")[1].split(f"<!-- {end} -->")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


INPUTS = {name: float(value) for name, value, *_ in rows("inputs", "derived")}


def derived(given: dict[str, float]) -> list[str]:
    """The last column of the second table, in its order."""
    rate, vcpu = given["rate"], given["threads"] / given["busy"]
    cores = rate * given["event_cpu"] / MILLION
    items = rate * given["items_an_event"]
    usual = given["process_memory"] * GIB / given["digest_memory"] * given["shards"]
    large = given["large_memory"] * GIB / given["digest_memory"] * given["shards"]
    rows_a_second = rate * given["rows_an_event"]
    return [
        f"{cores:.0f}",
        f"{cores * vcpu:.0f}",
        f"{math.ceil(cores * vcpu / given['worker_vcpu'])}",
        f"{2 * rate * given['event_bytes'] / 1e9:.2f} GB/s",
        f"{rate * given['stored'] / 1e6:.0f} MB/s",
        f"{rate * given['stored'] * DAY / 1e12:.1f} TB",
        f"{items:,.0f} items/s",
        f"{items * given['item_cpu'] / MILLION * vcpu:.0f}",
        f"{600 / given['record_cpu']:,.0f} million",
        f"{usual / MILLION:,.0f} million",
        f"{large / MILLION:,.0f} million",
        f"{usual / rate:,.0f} s",
        f"{large / rate:,.0f} s",
        f"{usual / DAY:,.0f} events/s",
        f"{large / DAY:,.0f} events/s",
        f"{3600 * rate / given['shards'] * given['digest_cpu'] / MILLION:.0f} s",
        f"{DAY * rate * given['digest_stored'] / 1e12:.2f} TB",
        f"{given['load_files'] * given['file_rows'] / rows_a_second / 60:.0f} min",
    ]


def test_every_derived_number_is_what_its_inputs_give() -> None:
    assert [value for *_, value in rows("derived", "end")] == derived(INPUTS)


def test_the_workers_of_the_text_are_those_of_the_table() -> None:
    page = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    assert f"{derived(INPUTS)[2]} workers are few" in page


@pytest.mark.parametrize(
    ("name", "value"), [("shards", SHARDS), ("file_rows", FILE_ROWS), ("load_files", MOST_FILES)]
)
def test_inputs_are_the_code_s(name: str, value: int) -> None:
    assert INPUTS[name] == value


def test_costs_are_those_that_were_measured() -> None:
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    figures = page.split("<!-- figures: begin -->")[1]
    events = re.search(r"([\d,]+) events of (\d+) MB", figures)
    cofferdam = re.search(r"^\| Cofferdam \|(.*)\|$", figures, re.MULTILINE)
    assert events is not None
    assert cofferdam is not None
    # Measured again, a cost may be another by a third; more than that, and the page is to be computed anew.
    assert INPUTS["event_cpu"] == pytest.approx(float(cofferdam[1].split("|")[2]), rel=1 / 3)
    size = int(events[2]) * 1e6 / int(events[1].replace(",", ""))
    assert INPUTS["event_bytes"] == pytest.approx(size, rel=1 / 3)
    gate = re.search(r"^\| 1x \| 100,000 \|(.*)\|$", page, re.MULTILINE)
    assert gate is not None
    assert INPUTS["item_cpu"] == pytest.approx(float(gate[1].split("|")[4]), rel=1 / 3)
