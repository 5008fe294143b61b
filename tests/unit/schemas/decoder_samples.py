"""A contract with every feature the decoders know, and strategies for events that fit it, nearly or not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from schemas.contract import EventShape, load_contracts

CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: decoder-test
name: Decoder test
version: 1.0.0
status: active
customProperties:
  - {property: source, value: zoom}
  - {property: family, value: test}
  - {property: typeAt, value: event}
schema:
  - name: test_events
    logicalType: object
    customProperties:
      - {property: events, value: [test.one, test.two]}
      - {property: prefix, value: payload.object}
      - {property: envelope, value: {time: event_ts, tenant: payload.account_id}}
    properties:
      - {name: event, logicalType: string, classification: envelope}
      - name: event_ts
        logicalType: integer
        classification: envelope
        logicalTypeOptions: {minimum: 0, maximum: 4102444800000}
        customProperties: [{property: unit, value: ms since 1970 UTC}]
      - {name: token, logicalType: string, classification: secret,
         customProperties: [{property: protection, value: drop}]}
      - name: payload
        logicalType: object
        properties:
          - {name: account_id, logicalType: string, classification: identifier.tenant}
          - name: object
            logicalType: object
            properties:
              - {name: topic, logicalType: string, classification: content.meeting_title,
                 customProperties: [{property: aliases, value: [Topic]}]}
              - {name: id, logicalType: string, classification: identifier.meeting,
                 customProperties: [{property: accepts, value: [integer, string]},
                                    {property: aliases, value: ["i d"]}]}
              - {name: duration, logicalType: integer, classification: service.usage,
                 logicalTypeOptions: {minimum: 0, maximum: 1000}}
              - {name: ratio, logicalType: number, classification: service.telemetry,
                 logicalTypeOptions: {minimum: 0, maximum: 1}}
              - {name: muted, logicalType: boolean, classification: service.usage,
                 customProperties: [{property: accepts, value: [boolean, string]}]}
              - {name: zone, logicalType: string, classification: service.usage,
                 customProperties: [{property: values, value: [a, b]}]}
              - name: words
                logicalType: array
                items: {logicalType: string, classification: service.usage,
                        customProperties: [{property: values, value: [x, y]}]}
              - {name: blob, logicalType: object, classification: content.chat}
              - name: people
                logicalType: array
                items:
                  logicalType: object
                  properties:
                    - {name: id, logicalType: string, classification: identifier.pseudonymous}
                    - {name: name, logicalType: string, classification: identifier.direct}
                    - name: tracks
                      logicalType: array
                      items:
                        logicalType: object
                        properties:
                          - {name: kind, logicalType: string, classification: service.usage,
                             customProperties: [{property: values, value: [audio, video]}]}
"""


def sample_shape(folder: Path) -> EventShape:
    """The contract above, loaded."""
    file = folder / "decoder_test.yaml"
    file.write_text(CONTRACT, encoding="utf-8")
    return load_contracts([file]).shapes[0]


_text = st.text(max_size=8)
_anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=6,
)


def _maybe_wrong(fitting: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(fitting, fitting, fitting, st.none(), _anything)


_track = st.fixed_dictionaries({}, optional={"kind": _maybe_wrong(st.sampled_from(["audio", "video", "z"]))})
_person = st.fixed_dictionaries(
    {},
    optional={
        "id": _maybe_wrong(_text),
        "name": _maybe_wrong(_text),
        "tracks": _maybe_wrong(st.lists(_maybe_wrong(_track), max_size=2)),
        "new": _anything,
    },
)
_object = st.fixed_dictionaries(
    {},
    optional={
        "topic": _maybe_wrong(_text),
        "Topic": _text,
        "id": _maybe_wrong(st.integers() | _text),
        "i d": _text,
        "duration": _maybe_wrong(st.integers(0, 1000)),
        "ratio": _maybe_wrong(st.floats(0, 1) | st.integers(0, 1)),
        "muted": _maybe_wrong(st.booleans() | st.sampled_from(["true", "no"])),
        "zone": _maybe_wrong(st.sampled_from(["a", "b", "a:b"])),
        "words": _maybe_wrong(st.lists(st.sampled_from(["x", "y", ":"]), max_size=2)),
        "blob": _anything,
        "people": _maybe_wrong(st.lists(_maybe_wrong(_person), max_size=3)),
        "grown": _anything,
    },
)
_event = st.fixed_dictionaries(
    {"event": st.sampled_from(["test.one", "test.two", "test.one", "other"])},
    optional={
        "event_ts": _maybe_wrong(st.integers(0, 4102444800000)),
        "token": _anything,
        "payload": _maybe_wrong(
            st.fixed_dictionaries(
                {}, optional={"account_id": _maybe_wrong(_text), "object": _maybe_wrong(_object)}
            )
        ),
        "extra": _anything,
    },
)


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """One line: an event as JSON, written in one of several styles, sometimes damaged."""
    event = draw(_event)
    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\t", " :\r")]))
    text = json.dumps(event, separators=separators, ensure_ascii=draw(st.booleans()))
    line = text.encode("utf-8", "surrogatepass")
    damage = draw(st.sampled_from(["none"] * 6 + ["double", "escape", "cut", "bytes"]))
    if damage == "double":
        line = line[:-1] + b',"event":"test.one"}'
    elif damage == "escape":
        line = line.replace(b'"event"', b'"\\u0065vent"', 1)
    elif damage == "cut":
        line = line[: draw(st.integers(1, len(line)))]
    elif damage == "bytes":
        at = draw(st.integers(0, len(line)))
        line = line[:at] + draw(st.binary(min_size=1, max_size=2)).replace(b"\n", b"") + line[at:]
    return line
