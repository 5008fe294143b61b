"""The first page of a person's archive: plain HTML that needs no network, no script and no other file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final

from pipelines import subject_words as words

_HEAD: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>What is held about you</title>
<style>
body { font: 16px/1.5 sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #222; }
table { border-collapse: collapse; width: 100%; margin: 1em 0; }
th, td { border: 1px solid #bbb; padding: .3em .6em; text-align: left; vertical-align: top; }
code { font-size: 85%; overflow-wrap: anywhere; }
</style>
</head>
<body>
"""


def page(index: Mapping[str, Any], regions: Mapping[str, str]) -> str:
    """The page that explains an archive.

    Args:
        index: What ``index.json`` holds, but for the page itself.
        regions: Names of regions, by the codes of the policies.
    """
    parts = [
        _HEAD,
        "<h1>What is held about you</h1>\n",
        _paragraph(index["summary"]),
        _paragraph(f"As of {index['as_of']}. You were looked for as {_who(index['subject'])}."),
        *(_paragraph(note) for note in index["notes"]),
        "<h2>What is in this archive</h2>\n",
        _table(("What", "Rows", "Explanation"), _section_rows(index["sections"])),
        *_content(index["content"]),
        *_information(index["information"], regions),
        "<h2>The files and their SHA-256</h2>\n",
        _paragraph(
            "JSON lines and CSV hold the same rows. In CSV, text that a spreadsheet would run as a formula "
            "begins with an apostrophe."
        ),
        _table(
            ("File", "Rows", "SHA-256"),
            [(each["path"], each["rows"], each["sha256"]) for each in index["members"]],
        ),
        "</body>\n</html>\n",
    ]
    return "".join(parts)


def _who(subject: Mapping[str, str]) -> str:
    return f"{subject['type']} {subject['value']}"


def _section_rows(sections: Sequence[Mapping[str, Any]]) -> list[tuple[object, ...]]:
    return [(each["title"], each["rows"], each["about"]) for each in sections]


def _content(content: Mapping[str, Any]) -> Iterable[str]:
    yield "<h2>Your sealed content</h2>\n"
    yield _paragraph(content["about"])
    rows = [(words.kind(kind), f"{number:,} opened") for kind, number in content["opened"].items()]
    rows += [(words.why_closed(why), f"{number:,} named only") for why, number in content["closed"].items()]
    if rows:
        yield _table(("Kind, or why not", "Items"), rows)


def _information(told: Mapping[str, Any], regions: Mapping[str, str]) -> Iterable[str]:
    yield "<h2>How your data is used (GDPR article 15(1))</h2>\n"
    yield "<h3>Who is responsible</h3>\n"
    yield _list(f"{one['name']}, {one['address']}, {one['contact']}" for one in told["controllers"])
    yield "<h3>Purposes</h3>\n"
    yield _table(
        ("Purpose", "What is done", "Lawful basis, and where it holds", "Copies are kept for"),
        [
            (
                words.purpose(name, begins=True),
                one["title"],
                words.bases(one["lawful_basis_by_region"], regions),
                words.period(one["copies_are_kept_for"]),
            )
            for name, one in told["purposes"].items()
        ],
    )
    yield "<h3>Categories of data</h3>\n"
    yield _list(
        [
            *map(words.category, told["categories"]["data"]),
            *(f"sealed content: {words.kind(kind)}" for kind in told["categories"]["sealed_content"]),
        ]
    )
    yield "<h3>Who received something</h3>\n"
    yield _list(
        f"{words.recipient(one['recipient'])}, for {words.purpose(one['purpose'])}: {words.kind(one['kind'])}"
        for one in told["recipients"]
    )
    yield f"<h3>How long</h3>\n{_paragraph(told['storage'])}"
    yield f"<h3>Where it came from</h3>\n{_list(told['source'])}"
    yield f"<h3>Decisions by machine</h3>\n{_paragraph(told['automated_decisions'])}"
    yield "<h3>Your rights</h3>\n"
    yield _list(f"{one['law']}: {one['right']}" for one in told["rights"])
    yield "<h3>What this archive cannot tell</h3>\n"
    yield _list(told["to_be_added_by_the_controller"])


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>\n"


def _list(lines: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>\n" for line in lines)
    return f"<ul>\n{items}</ul>\n" if items else "<p>None is known.</p>\n"


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join(f"<tr>{''.join(f'<td>{_cell(cell)}</td>' for cell in row)}</tr>\n" for row in rows)
    return f"<table>\n<tr>{head}</tr>\n{body}</table>\n"


def _cell(value: object) -> str:
    text = f"{value:,}" if isinstance(value, int) else str(value)
    return f"<code>{escape(text)}</code>" if len(text) == 64 and text.isalnum() else escape(text)
