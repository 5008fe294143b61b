"""Records, keys and registries for the tests of consent."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from joserfc.jwk import OKPKey

from schemas.consent_rows import read_time
from schemas.consent_signing import SigningKey
from schemas.registry_files import REGISTRY_FILE
from schemas.registry_writing import (
    PrivateKey,
    compare_pins,
    public_entry,
    write_keys,
    write_pins,
    write_private_key,
    write_starter,
)

CANARY = "canary.person@example.org"
NOTICE = "5f" * 32
KEY = OKPKey.import_key(
    {
        "kty": "OKP",
        "crv": "Ed25519",
        # The example key of RFC 8037, appendix A.
        "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    }
)
OTHER_KEY = OKPKey.generate_key("Ed25519")

RECORD: dict[str, Any] = {
    "schema_version": "cofferdam-consent/1.0",
    "record_id": "r-1",
    "pii_principal_id": {"type": "email", "value": CANARY},
    "processing": {
        "privacy_notice": "https://example.org/notice",
        "language": "en",
        "purpose": ["ai_training"],
        "pii_information": [{"pii_type": "audio"}],
        "pii_controllers": ["acme"],
        "storage_locations": ["eu"],
        "retention_period": "P6M",
        "jurisdiction": "eu",
        "recipient_third_parties": [],
        "withdrawal_method": "settings",
    },
    "party_identification": [
        {"party_id": "acme", "name": "Acme", "address": "1 Road", "contact": "office", "type": "controller"}
    ],
    "event": {
        "event_time": "2026-03-02T09:58:00Z",
        "validity_duration": "until_withdrawn",
        "entity_id": "acme",
        "event_type": "ExplicitlyExpressedConsent",
        "event_state": "ConsentGiven",
    },
    "x-meeting": {
        "scope": "meeting:m1",
        "content_kinds": ["audio", "video"],
        "grantor_role": "subject",
        "mechanism": "explicit_statement",
        "recipients": ["first_party"],
        "terms_version": "t-1",
        "notice_hash": NOTICE,
        "ingested_at": "2026-03-02T09:58:01Z",
        "bundled": False,
        "conditional": False,
        "retroactive": False,
    },
}


def record(**changes: Any) -> dict[str, Any]:
    """A record with changes at dotted paths; ``part__field=...``, and ``...`` removes the field."""
    changed = copy.deepcopy(RECORD)
    for path, value in changes.items():
        *outer, name = path.replace("x_meeting", "x-meeting").split("__")
        inside = changed
        for step in outer:
            inside = inside[step]
        if value is ...:
            del inside[name]
        else:
            inside[name] = value
    return changed


def signing_key(kid: str = "k1", key: OKPKey = KEY, **changes: Any) -> SigningKey:
    """A registered key."""
    start = read_time("2026-01-01T00:00:00Z")
    assert start is not None
    given = {"revoked_from": None, "is_test": False, "may_import": True, "valid_from": start, **changes}
    return SigningKey(kid=kid, x=str(key.as_dict(private=False)["x"]), **given)


KEYS = {"k1": signing_key()}


def make_registry(folder: Path) -> Path:
    """A registry like the starter's, with one key that is not marked test; its private half is k1.json."""
    write_starter(folder, valid_from="2026-01-01T00:00:00Z")
    write_keys(folder / "jwks.json", [public_entry(KEY, "k1", valid_from="2026-01-01T00:00:00Z")])
    write_private_key(folder / "test-keys" / "k1.json", KEY, "k1")
    repin(folder)
    return folder


def repin(folder: Path) -> None:
    """Pin the files of a registry as they are, signed with k1."""
    write_pins(folder, compare_pins(folder)[1], PrivateKey("k1", KEY))


def change_json(folder: Path, name: str, path: str, value: object, *, pin: bool = True) -> None:
    """Change one value in a registry's file, dotted path; ``...`` removes it."""
    file = folder / name
    document = json.loads(file.read_text())
    *outer, last = path.split(".")
    inside = document
    for step in outer:
        inside = inside[int(step)] if isinstance(inside, list) else inside[step]
    if value is ...:
        del inside[last]
    else:
        inside[last] = value
    file.write_text(json.dumps(document, indent=1))
    if pin and name != REGISTRY_FILE:
        repin(folder)
