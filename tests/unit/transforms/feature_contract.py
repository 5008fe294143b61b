"""A small contract with every feature that separation knows, and an event that fits it."""

from __future__ import annotations

import copy
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from schemas.contract import ContractSet, EventShape, load_contracts

CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: features
name: Features
version: 2.1.0
status: active
customProperties:
  - {property: source, value: cofferdam}
  - {property: family, value: test}
  - {property: typeAt, value: type}
schema:
  - name: visits
    logicalType: object
    customProperties:
      - {property: events, value: [visit.came, visit.went, visit.noted]}
      - {property: prefix, value: data}
      - property: envelope
        value: {id: id, source: source, time: time, tenant: data.tenant_id, meeting: data.room,
                participant: data.who.user_id, started: data.began, ended: data.ended, region: data.region,
                channel: data.who.channel, is_host: data.who.is_host, consent: data.consent}
      - {property: roster, value: {visit.came: join, visit.went: leave}}
    properties:
      - {name: specversion, logicalType: string, classification: envelope,
         customProperties: [{property: values, value: ["1.0"]}]}
      - {name: id, logicalType: string, classification: envelope}
      - {name: source, logicalType: string, classification: envelope}
      - {name: type, logicalType: string, classification: envelope}
      - {name: time, logicalType: timestamp, classification: envelope}
      - name: data
        logicalType: object
        properties:
          - {name: tenant_id, logicalType: string, classification: identifier.tenant}
          - {name: room, logicalType: string, classification: identifier.meeting}
          - {name: began, logicalType: timestamp, classification: service.usage}
          - {name: ended, logicalType: timestamp, classification: service.usage}
          - {name: region, logicalType: string, classification: metadata,
             customProperties: [{property: values, value: [eu, uk]}]}
          - {name: title, logicalType: string, classification: content.meeting_title}
          - {name: text, logicalType: string, classification: content.chat}
          - {name: notes, logicalType: any, classification: content.chat}
          - {name: passcode, logicalType: string, classification: secret,
             customProperties: [{property: protection, value: drop}]}
          - {name: token, logicalType: string, classification: secret,
             customProperties: [{property: protection, value: seal}]}
          - {name: ip, logicalType: string, classification: identifier.direct,
             customProperties: [{property: protection, value: truncate_ip}]}
          - {name: why, logicalType: string, classification: identifier.direct,
             customProperties: [{property: cut, value: {after: "Reason: ", values: [left, ended]}}]}
          - {name: count, logicalType: integer, classification: service.usage,
             logicalTypeOptions: {minimum: 0, maximum: 9}}
          - {name: media, logicalType: string, classification: service.usage,
             customProperties: [{property: values, value: [audio, video]}]}
          - name: payload
            logicalType: string
            classification: content.unclassified
            customProperties:
              - {property: kindBy, value: {field: media, map: {audio: audio, video: video},
                                           otherwise: unclassified}}
          - name: friends
            logicalType: array
            items: {logicalType: string, classification: identifier.pseudonymous,
                    customProperties: [{property: identifies, value: cofferdam.user_id}]}
          - name: consent
            logicalType: object
            properties:
              - name: record_ids
                logicalType: array
                items: {logicalType: string, classification: metadata,
                        logicalTypeOptions: {pattern: "cr-[0-9]{1,6}", maxLength: 9}}
              - {name: refuses, logicalType: boolean, classification: metadata}
          - name: who
            logicalType: object
            properties:
              - name: user_id
                logicalType: string
                classification: identifier.pseudonymous
                customProperties: [{property: identifies, value: cofferdam.user_id},
                                   {property: accepts, value: [integer, string]}]
              - name: email
                logicalType: string
                classification: identifier.direct
                customProperties: [{property: identifies, value: email}]
              - name: join_id
                logicalType: string
                classification: identifier.pseudonymous
                customProperties: [{property: identifies, value: cofferdam.join_id}]
              - {name: name, logicalType: string, classification: identifier.direct}
              - {name: channel, logicalType: string, classification: service.usage,
                 customProperties: [{property: values, value: [app, phone]}]}
              - {name: is_host, logicalType: boolean, classification: metadata}
          - name: files
            logicalType: array
            items:
              logicalType: object
              properties:
                - {name: media, logicalType: string, classification: service.usage,
                   customProperties: [{property: values, value: [audio, video, other]}]}
                - name: body
                  logicalType: string
                  classification: content.unclassified
                  customProperties:
                    - {property: kindBy, value: {field: media, map: {audio: audio, video: video},
                                                 otherwise: unclassified}}
                - {name: size, logicalType: integer, classification: service.usage,
                   logicalTypeOptions: {minimum: 0, maximum: 99},
                   customProperties: [{property: unit, value: bytes}]}
                - {name: key, logicalType: string, classification: secret,
                   customProperties: [{property: protection, value: drop}]}
                - {name: owner, logicalType: string, classification: identifier.pseudonymous}
                - name: marks
                  logicalType: array
                  items:
                    logicalType: object
                    properties:
                      - {name: at, logicalType: integer, classification: service.usage,
                         logicalTypeOptions: {minimum: 0, maximum: 99}}
                      - {name: remark, logicalType: string, classification: content.chat}
"""

EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "e-1",
    "source": "urn:a",
    "type": "visit.came",
    "time": "2026-03-01T10:00:00Z",
    "data": {"tenant_id": "t-1", "room": "m-1", "who": {"user_id": "u-1"}},
}
TABLE, FILES, MARKS = "visits", "visits__files", "visits__files_marks"


@cache
def features() -> ContractSet:
    """The contract above, loaded."""
    return changed("", "")


def changed(old: str, new: str) -> ContractSet:
    """The contract with one thing changed."""
    assert old in CONTRACT
    path = Path(tempfile.mkdtemp(prefix="test-contract-")) / "features.yaml"
    path.write_text(CONTRACT.replace(old, new) if old else CONTRACT, encoding="utf-8")
    return load_contracts([path])


def shape() -> EventShape:
    return features().shapes[0]


def event(number: int = 1, kind: str = "visit.came", **data: Any) -> dict[str, Any]:
    """An event with more in its data; a value of None takes a member away."""
    made = copy.deepcopy(EVENT)
    made.update(id=f"e-{number}", type=kind)
    made["data"].update(data)
    made["data"] = {key: value for key, value in made["data"].items() if value is not None}
    return made
