"""The registry of a generated world: test keys, terms, purposes, tenants, what they attest, and people."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pipelines.generator_clock import clock
from pipelines.generator_consents import SigningKeys
from pipelines.generator_meetings import Meeting
from pipelines.generator_people import TENANTS, Cast, Person, account_of
from pipelines.generator_stories import (
    CONTROLLER,
    EARLIER_TERMS,
    KEY_REVOKED_FROM,
    OTHER_CONTROLLER,
    PURPOSE,
    REPLACED_TERMS,
    REVOKED_KEY,
    TERMS,
    TEST_KEY,
)
from schemas.registry import Registry, load_registry
from schemas.registry_files import sha256_hex
from schemas.registry_writing import (
    DEFAULT_FILES,
    STARTER_FOLDER,
    TEST_KEY_FOLDER,
    compare_pins,
    public_entry,
    write_keys,
    write_pins,
    write_private_key,
)

_KEYS_FROM: Final = "2024-01-01T00:00:00Z"
_TERMS: Final = (
    (REPLACED_TERMS, "2023-03-01T00:00:00Z", "superseded_material", "Whatever you do here, we may use."),
    (
        EARLIER_TERMS,
        "2024-11-01T00:00:00Z",
        "superseded_compatible",
        "We train models on your meetings only with your yes.",
    ),
    (
        TERMS,
        "2026-01-01T00:00:00Z",
        "active",
        "We train models on your meetings only with your yes, which you can take back at any time.",
    ),
)
_AUTHORISED: Final = ("service_delivery", "recording_storage", "transcription", "captioning", PURPOSE)
_SINCE: Final = "2026-01-01T00:00:00Z"
_STORED_IN: Final = {"acme": "eu", "globex": "us-default", "initech": "uk", "umbrella": "us-ca"}
_ENDED: Final = {account_of(TENANTS[-1]): "2026-05-01T00:00:00Z"}
"""Until when an account authorised `PURPOSE`, for those that do so no longer."""
_ACCOUNTS: Final = {account: tenant for tenant in TENANTS for account in (tenant, account_of(tenant))}


def storage_region(account: str) -> str:
    """Where the content of a tenant's account on a platform is kept."""
    return _STORED_IN[_ACCOUNTS[account]]


def is_authorised(account: str) -> bool:
    """Whether a tenant's account on a platform still authorises `PURPOSE`."""
    return account not in _ENDED


class RegistryFolder:
    """A registry in the making; use `finish` when all meetings are over.

    Args:
        folder: A folder that exists and is empty.
        cast: Everybody.
        keys: The signing keys.
    """

    def __init__(self, folder: Path, cast: Cast, keys: SigningKeys) -> None:
        self._folder = folder
        self._meetings: dict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
        _write_keys(folder, keys)
        _write_terms(folder)
        purposes = DEFAULT_FILES["purposes"]
        (folder / purposes).write_bytes((STARTER_FOLDER / purposes).read_bytes())
        with (folder / DEFAULT_FILES["subjects"]).open("x", encoding="utf-8") as out:
            for person in cast.people:
                out.write(json.dumps(_subject(person)) + "\n")
        self._write_tenants()
        self.registry: Registry = load_registry(folder)

    def add_meeting(self, meeting: Meeting) -> None:
        """Note what a tenant attests of a meeting."""
        if meeting.plan.declared:
            self._meetings[meeting.account][meeting.label] = meeting.plan.declared

    def finish(self) -> None:
        """Write down what tenants attest of single meetings, and pin every file."""
        self._write_tenants()

    def _write_tenants(self) -> None:
        controllers = {name: _controller(name) for name in (CONTROLLER, OTHER_CONTROLLER)}
        tenants = {account: _tenant(account, self._meetings[account]) for account in _ACCOUNTS}
        _write_json(self._folder / DEFAULT_FILES["tenants"], {"controllers": controllers, "tenants": tenants})
        write_pins(self._folder, compare_pins(self._folder)[1])


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def _write_keys(folder: Path, keys: SigningKeys) -> None:
    revoked = {REVOKED_KEY: clock(KEY_REVOKED_FROM)}
    entries: list[Mapping[str, Any]] = [
        public_entry(
            keys.keys[name],
            keys.kids[name],
            valid_from=_KEYS_FROM,
            revoked_from=revoked.get(name),
            test=True,
            may_import=False,
        )
        for name in (TEST_KEY, REVOKED_KEY)
    ]
    write_keys(folder / DEFAULT_FILES["keys"], entries)
    kid = keys.kids[TEST_KEY]
    write_private_key(folder / TEST_KEY_FOLDER / f"{kid}.json", keys.keys[TEST_KEY], kid)


def _write_terms(folder: Path) -> None:
    versions = {}
    for name, start, status, words in _TERMS:
        text = f"Notice {name}\n\n{words}\n".encode()
        (folder / f"notice-{name}.txt").write_bytes(text)
        versions[name] = {
            "from": start,
            "status": status,
            "hash": sha256_hex(text),
            "notice": f"https://example.org/notices/{name}",
            "language": "en",
            "jurisdiction": "eu",
            "storage_locations": ["eu"],
            "withdrawal_method": "Settings, Privacy, Withdraw",
            "text": f"notice-{name}.txt",
        }
    _write_json(folder / DEFAULT_FILES["terms"], {"versions": versions, "contracts": {}})


def _controller(name: str) -> dict[str, str]:
    return {
        "name": f"{name.replace('-', ' ').title()} Ltd",
        "address": "1 Example Street, Example City",
        "contact": "privacy office",
        "type": "controller",
    }


def _tenant(account: str, meetings: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    authorised = [
        {"purpose": purpose, "from": _SINCE, "reference": "Order form, section 4"} for purpose in _AUTHORISED
    ]
    if account in _ENDED:
        authorised[-1]["until"] = _ENDED[account]
    attested = dict.fromkeys(("e2ee", "special", "phi", "edu", "third_party_mention"), False)
    return {
        "controller": CONTROLLER,
        "authorised": authorised,
        "declared": {**attested, "capture": "all_prior", "storage_region": storage_region(account)},
        "meetings": dict(meetings),
    }


def _subject(person: Person) -> dict[str, Any]:
    identifiers = [identifier for _, identifier, _ in person.accounts] + [("email", person.email)]
    return {
        "person": f"person-{person.number:06d}",
        "identifiers": [{"type": kind, "value": value} for kind, value in identifiers],
        "region": person.home.region,
        "age": person.age,
        "relation": person.relation,
    }
