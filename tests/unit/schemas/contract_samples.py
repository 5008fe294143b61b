"""A small contract that the tests of contracts change in one place at a time."""

from __future__ import annotations

from pathlib import Path

HEADER = """\
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
  - name: call_quality
    logicalType: object
    customProperties:
      - {property: events, value: [call.quality]}
      - property: envelope
        value: {id: id, time: time, meeting: call, participant: user}
    properties:
      - {name: id, logicalType: string, classification: envelope}
      - {name: type, logicalType: string, classification: envelope}
      - {name: time, logicalType: timestamp, classification: envelope}
      - {name: call, logicalType: string, classification: identifier.meeting}
      - name: user
        logicalType: string
        classification: identifier.pseudonymous
        customProperties: [{property: identifies, value: cofferdam.user_id}]
      - name: jitter
        logicalType: number
        classification: service.telemetry
        logicalTypeOptions: {minimum: 0, maximum: 60000}
        customProperties: [{property: unit, value: ms}]
      - name: codec
        logicalType: string
        classification: service.diagnostics
        customProperties: [{property: values, value: [opus, vp9]}]
      - {name: topic, logicalType: string, classification: content.meeting_title}
"""
LAST_LINE = HEADER.count("\n")


def written(folder: Path, text: str, name: str = "call.yaml") -> Path:
    """A contract file with this text."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def with_field(field: str) -> str:
    """The contract with one more field (a flow mapping) in its last line."""
    return f"{HEADER}      - {field}\n"


def field(name: str, kind: str, label: str, custom: str = "", options: str = "", more: str = "") -> str:
    """A field as a flow mapping."""
    parts = [f"name: {name}", f"logicalType: {kind}", f"classification: {label}"]
    parts += [f"customProperties: [{custom}]"] * bool(custom)
    parts += [f"logicalTypeOptions: {{{options}}}"] * bool(options)
    return f"{{{', '.join(parts + [more] * bool(more))}}}"


def prop(name: str, value: str) -> str:
    """A custom property as a flow mapping."""
    return f"{{property: {name}, value: {value}}}"
