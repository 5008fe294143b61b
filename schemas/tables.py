"""The Arrow schema of every fixed table of a store, declared in one place.

Telemetry tables are made from contracts, on top of the columns that every one of them begins with
(``telemetry_columns``). All columns, of either sort, are made with ``column``: each states what it means, its
unit, its classification and thereby its lane. The words travel as Arrow field metadata into every Parquet
file, so a file explains itself to whoever finds it.

A table is named by its folder in the store, such as ``quarantine/items``. Stores of the version written here
are read by this and every later version of the software; a change that older software would misread raises
``STORE_FORMAT_VERSION`` and adds a reader beside the old one (see ``transforms/manifests.py``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import pyarrow as pa

from schemas.classification import PSEUDONYM_CLASSES, Lane, lane_of

STORE_FORMAT_VERSION = 1

ID_BYTES = 16
BINARY_ID = pa.binary(ID_BYTES)
TIME = pa.timestamp("ms", tz="UTC")

TELEMETRY = "telemetry"
QUARANTINE_ITEMS = "quarantine/items"
QUARANTINE_BLOBS = "quarantine/blobs"
QUARANTINE_KEYS = "quarantine/keys"
QUARANTINE_REJECTED = "quarantine/rejected"
ROSTER = "roster"
SIGNALS = "signals"
CONSENT_RECORDS = "consents/records"
DECISION_CLASSES = "decisions/classes"
DECISION_ITEMS = "decisions/items"
DECISION_TELEMETRY = "decisions/telemetry"
DECISION_EXPORTS = "decisions/exports"
TELEMETRY_EXPORTS = "decisions/telemetry_exports"
OPENINGS = "openings"
RELEASED = "released"
TOMBSTONES = "tombstones/items"
ERASED_EVENTS = "tombstones/events"
RECALLS = "tombstones/recalls"
LEDGER = "ledger"
DIGESTS = "digests"
FILTERS = "manifests/filters"

AREAS: tuple[str, ...] = (
    TELEMETRY,
    "quarantine",
    ROSTER,
    SIGNALS,
    "consents",
    "decisions",
    OPENINGS,
    "tombstones",
    "released",
    LEDGER,
    DIGESTS,
    FILTERS,
)
"""The folders of a store that tables may lie in; no manifest names files elsewhere, nothing deletes them."""

NEVER_REPLACED: tuple[str, ...] = ("consents", "decisions", OPENINGS, "tombstones", LEDGER)
"""Areas that hold evidence: no manifest may take a file of theirs away."""

UNREADABLE = "unreadable"
"""Stands for what an item is, or was made from, where its event says it in a way that cannot be read."""

CHILD_POSITION = "position"
"""Column of a child telemetry table: place of the element in its event."""

REPEATING = "repeating"
DISTINCT = "distinct"
OPAQUE = "opaque"


def column(
    name: str,
    type_: pa.DataType,
    description: str,
    *,
    classification: str = "metadata",
    unit: str = "",
    storage: str = REPEATING,
    nullable: bool = True,
) -> pa.Field:
    """A column that explains itself.

    Args:
        name: Column name, in the store's own words (never a word of an event).
        type_: Arrow type.
        description: What the column means, in a sentence.
        classification: A word of ``schemas.classification``; it decides the lane.
        unit: Unit of a number or timestamp, empty where there is none.
        storage: ``REPEATING`` (dictionary encoding pays), ``DISTINCT`` (it does not) or ``OPAQUE`` (sealed
            bytes: neither dictionary, nor compression, nor statistics in the file's footer).
        nullable: Whether a row may leave it out.
    """
    metadata = {
        "description": description,
        "unit": unit,
        "lane": lane_of(classification).value,
        "classification": classification,
        "storage": storage,
    }
    return pa.field(name, type_, nullable=nullable, metadata=metadata)


def fact(field: pa.Field, key: str) -> str:
    """One word of a column's metadata (``description``, ``unit``, ``lane``, …), empty where it has none."""
    return (field.metadata or {}).get(key.encode(), b"").decode()


def lane_of_column(field: pa.Field) -> str:
    """The lane of a column; one that states none is content until its schema says otherwise."""
    return fact(field, "lane") or Lane.CONTENT.value


def holds_identifier(field: pa.Field) -> bool:
    """Whether a column holds pseudonyms of people, meetings or tenants, so that erasure must reach it."""
    return fact(field, "classification") in PSEUDONYM_CLASSES


def leaves(schema: pa.Schema) -> Iterator[tuple[str, pa.Field]]:
    """The leaf columns of a schema with their Parquet paths, such as ``subjects.list.element.pseudonym``.

    A leaf without metadata of its own takes that of the column it lies in.
    """
    for field in schema:
        yield from _leaves(field.name, field)


def _leaves(path: str, field: pa.Field) -> Iterator[tuple[str, pa.Field]]:
    if pa.types.is_struct(field.type):
        for child in field.type:
            yield from _leaves(f"{path}.{child.name}", inherited(child, field))
    elif pa.types.is_list(field.type) or pa.types.is_large_list(field.type):
        yield from _leaves(f"{path}.list.element", inherited(field.type.value_field, field))
    else:
        yield path, field


def inherited(child: pa.Field, parent: pa.Field) -> pa.Field:
    """A field inside another one, with the outer one's words where it has none of its own."""
    return child if child.metadata else child.with_metadata(parent.metadata)


def _list_of(type_: pa.DataType | pa.Field) -> pa.DataType:
    """A list whose inner name is the one that Parquet gives it, so that a schema survives the file."""
    return pa.list_(pa.field("element", type_) if isinstance(type_, pa.DataType) else type_)


_WORDS = _list_of(pa.string())


def _pseudonym(name: str, description: str, classification: str = "identifier.pseudonymous") -> pa.Field:
    return column(name, pa.string(), f"{description} (pseudonym)", classification=classification)


def _event_id() -> pa.Field:
    description = "Keyed digest of the event's identity (32 hexadecimal digits)"
    return column("event_id", pa.string(), description, storage=DISTINCT)


def _event_type() -> pa.Field:
    return column(
        "event_type", pa.string(), "Event type, as the contract names it", classification="envelope"
    )


def _event_time() -> pa.Field:
    return column("event_time", TIME, "When the source says that it happened", unit="ms since 1970 UTC")


def _source() -> pa.Field:
    return column("source", pa.string(), "Platform that sent the event (closed set)")


def _contract() -> pa.Field:
    return column("contract", pa.string(), "Contract that took the event apart, as id@version")


def _kind() -> pa.Field:
    return column("kind", pa.string(), "Kind of content (closed set)")


def _key_id() -> pa.Field:
    return column("key_id", BINARY_ID, "Data key that the ciphertext is under", storage=DISTINCT)


def telemetry_columns() -> list[pa.Field]:
    """The columns that every telemetry table begins with; its contract's own columns follow."""
    return [
        _event_id(),
        _event_type(),
        _event_time(),
        _pseudonym("tenant", "Customer account", "identifier.tenant"),
        _pseudonym("meeting", "Meeting", "identifier.meeting"),
        _pseudonym("participant", "Participant that the row is about, where it is about one"),
        _source(),
        _contract(),
    ]


_CONSENT_FLAG = pa.struct(
    [
        pa.field("record_ids", _list_of(pa.string())),
        pa.field("purposes", _list_of(pa.string())),
        pa.field("refuses", pa.bool_()),
    ]
)

_SUBJECT = pa.struct(
    [
        column("type", pa.string(), "Identifier type, such as zoom.user_id"),
        _pseudonym("pseudonym", "The person under that identifier, under the join key"),
    ]
)

_JOINS = (
    _pseudonym("tenant_join", "Customer account, under the join key", "identifier.tenant"),
    _pseudonym("meeting_join", "Meeting, under the join key", "identifier.meeting"),
)

_ITEMS = pa.schema(
    [
        column("item_id", pa.string(), "Id of the item (32 hexadecimal digits)", storage=DISTINCT),
        _event_id(),
        _source(),
        _event_type(),
        _kind(),
        *_JOINS,
        _pseudonym("sender_join", "Who sent or spoke it, under the join key"),
        _event_time(),
        column("recorded_start", TIME, "Start of what was recorded", unit="ms since 1970 UTC"),
        column("recorded_end", TIME, "End of what was recorded", unit="ms since 1970 UTC"),
        column("region", pa.string(), "Region that the event claims for itself (closed set)"),
        _key_id(),
        column("blob_part", pa.int32(), "Blob of the data key that holds the item, from 0"),
        column("size_class", pa.int32(), "Size of the item, padded", unit="bytes"),
        _contract(),
        column(
            "derived_from",
            _WORDS,
            "Kinds of content that its event or contract says it was made from (closed set, or unreadable)",
        ),
        _pseudonym("piece_join", "Message or document that it is, under the join key, or unreadable"),
        column(
            "consent_flag",
            _CONSENT_FLAG,
            "What the event claims about consent: it can point at records (their ids under the join key) and"
            " refuse, never grant",
        ),
    ]
)

_BLOBS = pa.schema(
    [
        _key_id(),
        column("part", pa.int32(), "Place among the blobs of the data key, from 0"),
        column("scheme", pa.string(), "Format of the ciphertext (closed set)"),
        _pseudonym("tenant", "Customer account, under the join key", "identifier.tenant"),
        _pseudonym("meeting", "Meeting, under the join key", "identifier.meeting"),
        _pseudonym("sender", "Who sent or spoke the items, under the join key"),
        _kind(),
        _contract(),
        column("item_ids", pa.binary(), "Ids of the items in order, 16 bytes each", storage=DISTINCT),
        column("size_class", pa.int32(), "Length of what was sealed, padding included", unit="bytes"),
        column(
            "ciphertext",
            pa.binary(),
            "The items, compressed, padded and sealed together",
            classification="content.unclassified",
            storage=OPAQUE,
        ),
    ]
)

_KEYS = pa.schema(
    [
        _key_id(),
        column("covers", pa.string(), "bundle (wrapped to the vault) or data (wrapped under a bundle key)"),
        column("holds", pa.string(), "items or rejected: what is sealed under it"),
        column("wrapping_key_id", BINARY_ID, "Vault key or bundle key that it is wrapped under"),
        column("wrapped", pa.binary(), "The wrapped key", classification="secret", storage=OPAQUE),
        column("created", pa.date32(), "Day on which the key was made"),
    ]
)

_REJECTED = pa.schema(
    [
        column("reject_id", pa.string(), "Id of the reject (32 hexadecimal digits)", storage=DISTINCT),
        _source(),
        column("reason", pa.string(), "Why the record was not taken (closed set of codes)"),
        column("file_index", pa.int32(), "Number of the input file in the run's list, from 0"),
        column("offset", pa.int64(), "Where the record begins in it", unit="bytes", storage=DISTINCT),
        column("piece", pa.int32(), "Number of this piece of the record, from 0"),
        column("last", pa.bool_(), "Whether this is the last piece of the record"),
        column("stored", pa.bool_(), "Whether the bytes are stored ones that could not be decompressed"),
        _key_id(),
        column("blob_part", pa.int32(), "Blob of the data key that holds the piece, from 0"),
        column("received", pa.date32(), "Day on which the run read it; its time to live begins here"),
        column("size_class", pa.int32(), "Size of the piece, padded", unit="bytes"),
    ]
)

_ROSTER = pa.schema(
    [
        *_JOINS,
        column("event", pa.string(), "start, end, join, leave or enter (a room of the meeting)"),
        column("subjects", _list_of(_SUBJECT), "The person, under each identifier that the event gives"),
        _pseudonym("join_pseudonym", "This one visit of the meeting; identifies nobody"),
        column("channel", pa.string(), "How the person took part (closed set)"),
        column("role", pa.string(), "Role in the meeting (closed set)"),
        column("region", pa.string(), "Region that the event claims for the person (closed set)"),
        column("view_only", pa.bool_(), "Whether the person could only watch"),
        column("is_host", pa.bool_(), "Whether the person is the meeting's host"),
        _event_time(),
        _event_id(),
        _source(),
    ]
)

_SIGNALS = pa.schema(
    [
        *_JOINS,
        column("names", pa.string(), "What is deleted (piece, meeting, person, tenant, everything)"),
        _pseudonym("piece_join", "The message or document, under the join key"),
        column("subjects", _list_of(_SUBJECT), "The person, under each identifier that the event gives"),
        _event_type(),
        _event_time(),
        _event_id(),
        _source(),
    ]
)

_CONSENT_RECORDS = pa.schema(
    [
        column(
            "digest",
            BINARY_ID,
            "Begin of the SHA-256 of the record as it stood in its file",
            storage=DISTINCT,
        ),
        column(
            "record_join", pa.string(), "Its id under the join key, as flags point at it", storage=DISTINCT
        ),
        column("event_time", TIME, "When it says that it was made", unit="ms since 1970 UTC"),
        column("ingested_at", TIME, "When it says that it arrived", unit="ms since 1970 UTC"),
        column("status", pa.string(), "What it says (closed set), or unreadable"),
        column("grantor", pa.string(), "Who said it for the person (closed set), or unreadable"),
        column("fault", pa.string(), "Why it was not trusted when it was first seen (closed set of codes)"),
        column("first_seen", TIME, "Instant of the first release that saw it", unit="ms since 1970 UTC"),
        column("unseen_by", TIME, "Last release before that, which did not", unit="ms since 1970 UTC"),
        column("run_id", pa.string(), "Run that first saw it"),
    ]
)

_LEDGER = pa.schema(
    [
        _source(),
        _event_type(),
        column("outcome", pa.string(), "What became of the records (closed set)"),
        column("reason", pa.string(), "Reason code, where an outcome has one"),
        column("records", pa.int64(), "Records with this outcome", unit="records"),
        column("items", pa.int64(), "Items cut out of them", unit="items"),
    ]
)

_DIGESTS = pa.schema(
    [
        column("id_digest", BINARY_ID, "Keyed digest of the event's identity", storage=DISTINCT),
        column("body_digest", BINARY_ID, "Keyed digest of the whole record", storage=DISTINCT),
        column("seen", pa.date32(), "Day on which a run first took it"),
        column("position", pa.int64(), "File number and offset in that run, packed", storage=DISTINCT),
    ]
)

_FILTERS = pa.schema(
    [
        column("path", pa.string(), "File that the filter is of", storage=DISTINCT),
        column("filter", pa.binary(), "Bloom filter of the pseudonyms in it", storage=OPAQUE),
    ]
)


def _as_of() -> pa.Field:
    return column("as_of", TIME, "Instant of the decision", unit="ms since 1970 UTC")


def _hash(name: str, what: str) -> pa.Field:
    return column(name, pa.string(), f"SHA-256 of {what}")


def _run_id() -> pa.Field:
    return column("run_id", pa.string(), "Run that decided")


def _stage() -> pa.Field:
    return column("stage", pa.string(), "decide, sink (decided again before the commit) or erase")


def _decision_id() -> pa.Field:
    description = "Id of the decision: the same facts, policies and records have the same one"
    return column("decision_id", pa.string(), description)


def _class_id() -> pa.Field:
    return column("class_id", pa.string(), "Class of items of which all decisions are the same")


def _purpose() -> pa.Field:
    return column("purpose", pa.string(), "Purpose that was asked for (registered)")


def _recipient() -> pa.Field:
    return column("recipient", pa.string(), "Who is to receive it (closed set)")


_OUTCOME = pa.struct(
    [
        pa.field("agrees", pa.bool_()),
        pa.field("reasons", _WORDS),
        pa.field("people", pa.int32()),
        column(
            "persons",
            _list_of(_pseudonym("element", "Person under the join key")),
            "Some of the people with this outcome",
            classification="identifier.pseudonymous",
        ),
    ]
)

_DECISION_CLASSES = pa.schema(
    [
        _run_id(),
        _stage(),
        _class_id(),
        _decision_id(),
        *_JOINS,
        _kind(),
        column("roots", _WORDS, "Kinds that the items come from (closed set)"),
        _purpose(),
        _recipient(),
        column("items", pa.int64(), "Items of the class", unit="items"),
        column("decision", pa.string(), "RELEASE, QUARANTINE, ERASE or REJECT"),
        column("primary", pa.string(), "The leading reason, or OK"),
        column("reasons", _WORDS, "All reason codes by rank"),
        column("advisories", _WORDS, "What to know, by code"),
        column("regions", _WORDS, "Profiles that applied"),
        column("people", pa.int32(), "People who were present"),
        column("roster_complete", pa.bool_(), "Whether the roster is attested"),
        column("roster_doubts", _WORDS, "Why it is not (closed set)"),
        column("outcomes", _list_of(_OUTCOME), "What the people's records came to, equal outcomes together"),
        column("record_ids", _WORDS, "Records that the decision rests on, sorted"),
        column("terms", _WORDS, "Versions of terms that those records cite"),
        _hash("policy_hash", "the policies"),
        _hash("suite_hash", "the suites that judged"),
        _hash("registry_hash", "the registry"),
        column("records_seen", pa.string(), "Number and order-independent digest of all records"),
        _as_of(),
    ]
)

_DECISION_ITEMS = pa.schema(
    [
        _run_id(),
        _stage(),
        column("item_id", pa.string(), "Id of the item (32 hexadecimal digits)", storage=DISTINCT),
        _class_id(),
        _decision_id(),
        _purpose(),
        _recipient(),
        column("decision", pa.string(), "RELEASE, QUARANTINE, ERASE or REJECT"),
        column("primary", pa.string(), "The leading reason, or OK"),
    ]
)

_DECISION_TELEMETRY = pa.schema(
    [
        _run_id(),
        _decision_id(),
        column("table", pa.string(), "Telemetry table, as the store names it"),
        _pseudonym("tenant", "Customer account, as in telemetry", "identifier.tenant"),
        _pseudonym("meeting", "Meeting, as in telemetry", "identifier.meeting"),
        column("kind", pa.string(), "Kind of telemetry or metadata (closed set)"),
        column("rows", pa.int64(), "Rows of the table about the meeting", unit="rows"),
        _purpose(),
        _recipient(),
        column("decision", pa.string(), "RELEASE, QUARANTINE, ERASE or REJECT"),
        column("primary", pa.string(), "The leading reason, or OK"),
        column("reasons", _WORDS, "All reason codes by rank"),
        column("advisories", _WORDS, "What to know, by code"),
        column("regions", _WORDS, "Profiles that applied"),
        column("people", pa.int32(), "People on the roster of the meeting"),
        column("roster_complete", pa.bool_(), "Whether the roster is attested"),
        column("record_ids", _WORDS, "Records that the decision rests on, sorted"),
        _hash("policy_hash", "the policies"),
        _hash("suite_hash", "the suites that judged"),
        _hash("registry_hash", "the registry"),
        column("records_seen", pa.string(), "Number and order-independent digest of all records"),
        _as_of(),
    ]
)

_EXPORT_FILE = pa.struct(
    [pa.field("path", pa.string()), pa.field("rows", pa.int64()), pa.field("sha256", pa.string())]
)

_DECISION_EXPORTS = pa.schema(
    [
        _run_id(),
        _purpose(),
        _recipient(),
        _kind(),
        column("items", pa.int64(), "Items that were released", unit="items"),
        column("files", _list_of(_EXPORT_FILE), "Files that hold them"),
        column("decisions", pa.int64(), "Decisions that they rest on", unit="decisions"),
        column("records", pa.int64(), "Consent records that they rest on", unit="records"),
        column("terms", _WORDS, "Versions of terms that those records cite"),
        column("sources", _WORDS, "Platforms that the items came from"),
        column("contracts", _WORDS, "Contracts that cut the items out, as id@version"),
        column("first", TIME, "Earliest event", unit="ms since 1970 UTC"),
        column("last", TIME, "Latest event", unit="ms since 1970 UTC"),
        _hash("policy_hash", "the policies"),
        _hash("registry_hash", "the registry"),
        _hash("release_suite_hash", "the suite over what was written"),
        column("records_seen", pa.string(), "Number and order-independent digest of all records"),
        _as_of(),
    ]
)

_TELEMETRY_EXPORTS = pa.schema(
    [
        column("run_id", pa.string(), "Run that took it out"),
        column("decided_by", pa.string(), "Run whose decisions let it go"),
        _purpose(),
        _recipient(),
        column("table", pa.string(), "Telemetry table, as the store names it"),
        column("rows", pa.int64(), "Rows that went", unit="rows"),
        column("file", pa.string(), "File of the export that holds them"),
        column("sha256", pa.string(), "SHA-256 of that file"),
        column("decisions", _WORDS, "Decisions that they rest on, sorted", storage=DISTINCT),
        _hash("policy_hash", "the policies"),
        _hash("registry_hash", "the registry"),
        column("records_seen", pa.string(), "Number and order-independent digest of all records"),
        _as_of(),
    ]
)

_OPENINGS = pa.schema(
    [
        column("run_id", pa.string(), "Run that opened it"),
        column("ground", pa.string(), "What it was opened for (closed set)"),
        column("decision_id", pa.string(), "Decision, or digest of the order, that allowed it"),
        column("purpose", pa.string(), "Purpose (registered), empty where it was opened for none"),
        column(
            "recipient",
            pa.string(),
            "Who receives it (closed set), empty where it stays inside or goes to the person whose it is",
        ),
        _kind(),
        _key_id(),
        column("blob_part", pa.int32(), "Blob of the data key, from 0"),
        column("item_ids", _WORDS, "Items that the decision is about, sorted", storage=DISTINCT),
        column("beside", pa.int32(), "Other items of the blob, forgotten unread", unit="items"),
        column("outcome", pa.string(), "opened, or the code of why it did not open"),
        column("signature", pa.binary(64), "The release side's Ed25519 signature of it", storage=DISTINCT),
    ]
)

_TOMBSTONES = pa.schema(
    [
        column("run_id", pa.string(), "Erasure that destroyed it"),
        column("item_id", pa.string(), "Id of the item (32 hexadecimal digits)", storage=DISTINCT),
        _kind(),
        column("key_id", BINARY_ID, "Data key that was destroyed", storage=DISTINCT),
        column("digest", pa.binary(32), "SHA-256 of the ciphertext that nothing opens any more"),
        column("reason", pa.string(), "Why it was destroyed (closed set of codes)"),
        column("as_of", TIME, "Instant of the decision", unit="ms since 1970 UTC"),
    ]
)

_ERASED_EVENTS = pa.schema(
    [
        column("run_id", pa.string(), "Erasure that erased rows of the event"),
        column("id_digest", BINARY_ID, "Keyed digest of the event's identity", storage=DISTINCT),
    ]
)

_RECALLS = pa.schema(
    [
        column("run_id", pa.string(), "Erasure that recalls it"),
        column("export_run_id", pa.string(), "Run that released it, or took it out"),
        column("purpose", pa.string(), "Purpose that it was released for (registered)"),
        column("recipient", pa.string(), "Who received it (closed set)"),
        column("kind", pa.string(), "Kind of content (closed set), or telemetry"),
        column("reason", pa.string(), "Why it is recalled (closed set of codes)"),
        column(
            "item_ids",
            _list_of(pa.string()),
            "Ids of items, or of telemetry's events, to be deleted by whoever received them, sorted",
        ),
        column("files", _list_of(pa.string()), "Files of the export that held them, as they were released"),
        column("as_of", TIME, "Instant of the decision", unit="ms since 1970 UTC"),
    ]
)

_PART = pa.struct(
    [
        column(
            "path",
            pa.string(),
            "Where the value stood in its event",
            classification="content.unclassified",
            storage=DISTINCT,
        ),
        column(
            "value",
            pa.binary(),
            "The value as raw JSON, as it came",
            classification="content.unclassified",
            storage=DISTINCT,
        ),
    ]
)

_RELEASED = pa.schema(
    [
        column("item_id", pa.string(), "Id of the item (32 hexadecimal digits)", storage=DISTINCT),
        _event_id(),
        _kind(),
        _recipient(),
        _purpose(),
        column("decision", pa.string(), "RELEASE"),
        column("reasons", _WORDS, "Reason codes; empty"),
        _decision_id(),
        column("records", pa.int32(), "Consent records that the release rests on", unit="records"),
        column("record_ids", _WORDS, "Their ids, the first 100; the decision names all"),
        column("terms", _WORDS, "Versions of terms that those records cite"),
        _hash("policy_hash", "the policies"),
        _hash("suite_hash", "the suites that judged"),
        _as_of(),
        column("parts", _list_of(_PART), "The content itself", classification="content.unclassified"),
    ]
)

FIXED_TABLES: Mapping[str, pa.Schema] = MappingProxyType(
    {
        QUARANTINE_ITEMS: _ITEMS,
        QUARANTINE_BLOBS: _BLOBS,
        QUARANTINE_KEYS: _KEYS,
        QUARANTINE_REJECTED: _REJECTED,
        ROSTER: _ROSTER,
        SIGNALS: _SIGNALS,
        CONSENT_RECORDS: _CONSENT_RECORDS,
        DECISION_CLASSES: _DECISION_CLASSES,
        DECISION_ITEMS: _DECISION_ITEMS,
        DECISION_TELEMETRY: _DECISION_TELEMETRY,
        DECISION_EXPORTS: _DECISION_EXPORTS,
        TELEMETRY_EXPORTS: _TELEMETRY_EXPORTS,
        OPENINGS: _OPENINGS,
        RELEASED: _RELEASED,
        TOMBSTONES: _TOMBSTONES,
        ERASED_EVENTS: _ERASED_EVENTS,
        RECALLS: _RECALLS,
        LEDGER: _LEDGER,
        DIGESTS: _DIGESTS,
        FILTERS: _FILTERS,
    }
)
"""Schema of each table whose shape does not come from a contract, by table name."""

PREVIEW_COLUMNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        QUARANTINE_ITEMS: ("item_id", "kind", "size_class"),
        QUARANTINE_REJECTED: ("reject_id", "reason", "size_class"),
        DECISION_CLASSES: ("kind", "purpose", "recipient", "items", "decision", "primary"),
        DECISION_ITEMS: ("item_id", "purpose", "recipient", "decision", "primary"),
        DECISION_TELEMETRY: ("table", "kind", "purpose", "recipient", "rows", "decision", "primary"),
        DECISION_EXPORTS: ("purpose", "recipient", "kind", "items", "records"),
        TELEMETRY_EXPORTS: ("run_id", "table", "purpose", "recipient", "rows"),
        OPENINGS: ("run_id", "ground", "kind", "purpose", "recipient", "beside", "outcome"),
        RELEASED: ("item_id", "kind", "purpose", "recipient", "decision_id"),
        TOMBSTONES: ("run_id", "item_id", "kind", "reason"),
        RECALLS: ("run_id", "export_run_id", "purpose", "recipient", "kind", "reason"),
        LEDGER: ("source", "event_type", "outcome", "reason", "records", "items"),
    }
)
"""What may be shown of tables outside telemetry; of a table that is not named here, no row is shown."""
