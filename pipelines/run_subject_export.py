"""Put together what is held about a person: find it, log what is opened, open it, commit, hand it over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pipelines.consent_registry import open_registry, policies_of
from pipelines.subject_archive import Archive, as_json, output_exists, private_file
from pipelines.subject_information import information
from pipelines.subject_page import page
from pipelines.versions import software_version
from schemas.contract import ContractSet, load_contracts
from schemas.contract_lint import contract_files
from schemas.errors import ConfigurationError
from schemas.places import Place
from schemas.registry import Registry
from schemas.registry_attestation import require_signer
from schemas.tables import OPENINGS
from transforms.audit_entries import ACCESS, leave_entry, stated
from transforms.audit_facts import audited
from transforms.audit_log import merge
from transforms.consent_intake import plan_records
from transforms.erase_orders import people_of, read_orders
from transforms.erase_reach import Identifier, Spaces, read_subject
from transforms.erase_search import StoreSearch
from transforms.faults import value_free
from transforms.keys import ReleaseKeys, load_release_keys
from transforms.manifest_seal import seal_of
from transforms.manifests import FileRecord
from transforms.pseudonyms import TENANT_TYPE
from transforms.release_rules import ReleaseRequest
from transforms.store import Store, new_run_id
from transforms.subject_content import (
    ContentOpener,
    OpeningPlan,
    export_ground,
    order_digest,
    plan_openings,
    sealed_section,
)
from transforms.subject_decisions import Decisions
from transforms.subject_items import OwnItems, claims_of, fates_of, items_of, mixed_of
from transforms.subject_records import OwnRecords, records_of, registered_of
from transforms.subject_rows import OwnRows, Presence, presence_of, telemetry_of
from transforms.subject_search import Found, Person, Section, find_person, person_of

FORMAT: Final = "cofferdam-subject-archive/1"
_SHORTEST_VALUE: Final = 3
_NOTHING: Final = "Nothing is held about you under the identifiers that are known."
_CONTENT: Final = (
    "What you alone have sent or said was opened for you and lies in `content/`, a file for each kind, one "
    "item a line. What others may be in is named in `items` and `mixed_items` and stays closed."
)


@dataclass(frozen=True)
class SubjectOptions:
    """What a user asked for.

    Attributes:
        store: The store's root.
        keys: The release side of a key directory.
        consents: Files and folders of records.
        registry: The registry's folder.
        subject: ``TYPE:ID`` of the person.
        as_of: Instant of the answer (RFC 3339).
        output: The file to write, None for a dry run.
        registry_signer: Thumbprint of the key that must have signed for the registry, if named.
        tenants: Tenants (raw ids) beside the registered ones that telemetry may be of.
        contract_files: Contract files and folders of such; empty for the bundled ones.
        allow_test_keys: Whether keys marked test are keys.
    """

    store: str
    keys: Path
    consents: tuple[Place, ...]
    registry: Place
    subject: str = field(repr=False)
    as_of: str
    output: Path | None
    registry_signer: str | None = None
    tenants: tuple[str, ...] = field(default=(), repr=False)
    contract_files: tuple[Path, ...] = ()
    allow_test_keys: bool = False


def run_subject_export(options: SubjectOptions) -> dict[str, Any]:
    """Write the archive of a person, or say what would be in it.

    Returns:
        What was found, in counts and codes.

    Raises:
        ConfigurationError: Registry, contracts, subject or options cannot be used; nothing was written.
        InfrastructureFault: A key, record file, the store or the output cannot be used.
        PromiseBroken: The audit log is not what it was.
    """
    asked = read_subject(options.subject)
    at = ReleaseRequest((), "", options.as_of).as_of_time
    _check_output(options.output, asked)
    registry = open_registry(options.registry).registry
    require_signer(registry.attestation, options.registry_signer, allow_test_keys=options.allow_test_keys)
    keys = load_release_keys(options.keys)
    contracts = load_contracts(contract_files(options.contract_files))
    person = person_of(registry, asked)
    plan_records([str(path) for path in options.consents])
    run_id = new_run_id(datetime.now(UTC))
    collected = _Collected(options, registry, keys, contracts, person)
    with value_free("put the archive together"):
        if options.output is None:
            collected.collect(Store.open(options.store, seal_of(keys)))
            return {**collected.ledger(run_id), "dry_run": True}
        with Store.open(options.store, seal_of(keys)).writing(run_id) as current:
            # Of a run that was killed; refuses a log that was changed.
            merge(current, keys, datetime.now(UTC), may_begin=False)
            collected.collect(current)
            return _Export(collected, current, run_id, at, options.output).run()


def _check_output(output: Path | None, asked: Identifier) -> None:
    if output is None:
        return
    if output.exists() or output.is_symlink():
        raise output_exists(output)
    value = asked.value.strip().casefold()
    if len(value) >= _SHORTEST_VALUE and value in output.name.casefold():
        message = "the name of the file would tell whom it is about; give it one that does not"
        raise ConfigurationError("OUTPUT_NAMES_SUBJECT", message)


class _Collected:
    """Everything that is known of a person without opening anything."""

    def __init__(
        self,
        options: SubjectOptions,
        registry: Registry,
        keys: ReleaseKeys,
        contracts: ContractSet,
        person: Person,
    ) -> None:
        self.options, self.registry, self.keys = options, registry, keys
        self.contracts, self.person = contracts, person
        self.found: Found
        self.telemetry: OwnRows
        self.presence: Presence
        self.items: OwnItems
        self.records: OwnRecords
        self.plan: OpeningPlan
        self.erasure_waits = False
        self.sections: list[Section] = []
        self.tenants: list[str] = []

    def collect(self, store: Store) -> None:
        """Look everywhere."""
        search = StoreSearch(store)
        spaces = Spaces(self.keys, (*self.registry.tenants, *self.options.tenants))
        self.found = find_person(search, self.contracts, spaces, self.person)
        join = self.found.reach.join
        self.telemetry = telemetry_of(search, self.found.reach.telemetry)
        self.presence = presence_of(search, join)
        self.items = items_of(search, join, self.presence.meetings)
        self.records = self._records(store)
        waiting = people_of(read_orders(store.files_of_store, self.keys))
        self.erasure_waits = not waiting.isdisjoint(self.person.identifiers)
        self.plan = plan_openings(self.contracts, self.items, self.telemetry)
        self.sections = list(self._sections(search))
        self.tenants = self._tenants(spaces)

    def _records(self, store: Store) -> OwnRecords:
        consents = [str(path) for path in self.options.consents]
        allowed = self.options.allow_test_keys
        return records_of(store, self.registry, self.person, consents, allow_test_keys=allowed)

    def _sections(self, search: StoreSearch) -> Iterator[Section]:
        yield registered_of(self.registry, self.person)
        yield self.records.section()
        yield claims_of(self.items)
        yield from self.presence.sections()
        yield from self.telemetry.sections()
        yield mixed_of(self.items)
        decisions = Decisions(
            search,
            self.found.keys,
            self.items.item_ids,
            self.presence.meetings | self.items.meetings,
            self.records.ids,
        )
        yield decisions.about_content()
        yield decisions.about_telemetry(self.telemetry)
        yield from fates_of(search, self.found.reach.join, self.items, self.telemetry)

    def _tenants(self, spaces: Spaces) -> list[str]:
        """Registered tenants that the person was found in."""
        seen = {row["tenant_join"] for row in self.items.rows}
        seen.update(self.presence.roster.column("tenant_join").to_pylist())
        return [
            tenant
            for tenant in sorted(self.registry.tenants)
            if not seen.isdisjoint(spaces.join([Identifier(TENANT_TYPE, tenant)]))
        ]

    def ledger(self, run_id: str, opener: ContentOpener | None = None) -> dict[str, Any]:
        """What was found, in counts and codes."""
        counts = {section.name: len(section) for section in self.sections if len(section)}
        closed = Counter(self.plan.closed.values())
        unopened = {} if opener is None else opener.unopened
        return {
            "run_id": run_id,
            "version": software_version(),
            "as_of": self.options.as_of,
            "registry_hash": self.registry.registry_hash,
            "registered": self.person.name is not None,
            "identifiers": len(self.person.identifiers),
            "erasure_waits": self.erasure_waits,
            "sections": counts,
            "content": {
                "items": len(self.plan.about),
                "to_open": len(self.plan.fields),
                "opened": 0 if opener is None else opener.opened,
                "closed": dict(sorted(closed.items())),
                "broken": dict(sorted(Counter(unopened.values()).items())),
            },
            "held_back": {
                "identifiers": sum(self.person.held_back.values()),
                "records": sum(self.records.held_back.values()),
                "visits": self.presence.shared_visits,
                "names_of_others": self.telemetry.blanked,
            },
        }

    def notes(self) -> Iterator[str]:
        """What the person must know of how they were looked for."""
        if self.person.name is None:
            yield "You are not in the registry of people, so you were looked for under this identifier alone."
        if shared := sum(self.person.held_back.values()):
            yield f"{shared} of your identifiers are claimed by others, too; nothing under them is given out."
        for why, number in self.records.held_back.items():
            yield f"{number} consent records may be yours and are not given out: the {why}."
        if self.erasure_waits:
            yield "An erasure of your data was ordered and has not ended; a legal claim may keep some of it."
        if self.presence.shared_visits:
            yield f"{self.presence.shared_visits} visits are told apart from others' by nothing; held back."


class _Export:
    """One export on its way, the store's lock held."""

    def __init__(self, collected: _Collected, store: Store, run_id: str, at: datetime, output: Path) -> None:
        self._all, self._store, self._run_id = collected, store, run_id
        self._at, self._output = at, output
        self._opened: dict[str, int] = {}

    def run(self) -> dict[str, Any]:
        found, plan = self._all.found, self._all.plan
        order = order_digest(self._run_id, self._all.options.as_of, found, plan)
        self._log_beginning(order)
        opener = ContentOpener(self._store, self._all.keys, export_ground(self._run_id, order), plan)
        try:
            with private_file(self._output) as file:
                archive = Archive(file.stream, self._at)
                self._write(archive, opener)
                digest = file.sha256()
                ledger = self._all.ledger(self._run_id, opener)
                self._commit(ledger, order, digest, len(archive.members), opener)
                file.publish()
        finally:
            opener.close()
        return {**ledger, "dry_run": False, "sha256": digest, "files": len(archive.members)}

    def _log_beginning(self, order: str) -> None:
        """Leave an entry before anything is opened: an export that is killed has been logged all the same."""
        begun = {
            "type": ACCESS,
            "state": "begun",
            "run_id": self._run_id,
            "as_of": self._all.options.as_of,
            "decision_id": order,
            "items": len(self._all.plan.fields),
        }
        leave_entry(self._store.files_of_store, f"{self._run_id}-access", begun)

    def _write(self, archive: Archive, opener: ContentOpener) -> None:
        for kind in opener.kinds():
            about = f"Content of the kind {kind} that the person alone has sent, one item a line."
            path = f"content/{kind}.jsonl"
            if number := archive.add_lines(path, opener.lines(kind), about):
                self._opened[kind] = number
        sections = [*self._all.sections, sealed_section(self._all.plan, self._all.items, opener.unopened)]
        for section in sections:
            archive.add_section(section)
        index = self._index(archive, sections, opener)
        archive.add_page(
            "index.html", page(index, policies_of(self._all.registry).titles), "This archive explained."
        )
        index["members"] = [member.as_dict() for member in archive.members]
        archive.add_page("index.json", as_json(index), "The same for machines.")
        archive.close()

    def _index(self, archive: Archive, sections: Sequence[Section], opener: ContentOpener) -> dict[str, Any]:
        person, plan = self._all.person, self._all.plan
        held = [section for section in sections if len(section)]
        kinds = {kind for kind, _ in plan.about.values()}
        closed = Counter((*plan.closed.values(), *opener.unopened.values()))
        return {
            "format": FORMAT,
            "run_id": self._run_id,
            "as_of": self._all.options.as_of,
            "subject": {"type": person.asked.type, "value": person.asked.value},
            "summary": _summary(held, sum(self._opened.values())),
            "notes": list(self._all.notes()),
            "sections": [_described(section) for section in held],
            "content": {"about": _CONTENT, "opened": self._opened, "closed": dict(sorted(closed.items()))},
            "information": information(self._all.registry, held, kinds, self._all.tenants),
            "members": [member.as_dict() for member in archive.members],
        }

    def _commit(
        self, ledger: Mapping[str, Any], order: str, digest: str, members: int, opener: ContentOpener
    ) -> None:
        """Put the openings on record before anybody gets the archive."""
        adds = self._openings(opener)
        said = {
            "type": ACCESS,
            "state": "done",
            "run_id": self._run_id,
            "decision_id": order,
            "items": opener.opened,
            "files": members,
            "sha256": digest,
        }
        facts = audited({"kind": ACCESS, "ledger": dict(ledger), **stated(said)}, self._store, adds)
        after = self._store.commit(self._run_id, adds, facts)
        merge(after, self._all.keys, datetime.now(UTC))

    def _openings(self, opener: ContentOpener) -> list[FileRecord]:
        rows = opener.take_rows()
        if not rows.num_rows:
            return []
        with self._store.writer(self._run_id, OPENINGS) as writer:
            writer.append(rows)
            return writer.close()


def _summary(held: Sequence[Section], opened: int) -> str:
    rows = sum(len(section) for section in held)
    if not rows and not opened:
        return _NOTHING
    return f"{rows:,} rows are held about you, and {opened:,} items of your sealed content were opened."


def _described(section: Section) -> dict[str, Any]:
    said = {"name": section.name, "title": section.title, "rows": len(section), "about": section.about}
    if isinstance(section.rows, Sequence):
        return said
    columns = [
        {
            "name": column.name,
            "type": str(column.type),
            "unit": (column.metadata or {}).get(b"unit", b"").decode(),
            "description": (column.metadata or {}).get(b"description", b"").decode(),
        }
        for column in section.rows.schema
    ]
    return {**said, "columns": columns}


__all__ = ["SubjectOptions", "run_subject_export"]
