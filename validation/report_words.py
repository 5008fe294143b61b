"""The sentences of a governance report: what was checked and how, what is done, and what is not proven.

They say what the software does, and change with it. No figure stands in them.
"""

from __future__ import annotations

from typing import Final

HOW_RELEASED: Final = (
    "Every row that was released is read back, with the reasons, decision and records that it "
    "names. Nothing is taken over from what the release said of itself.",
    "The decision that it names is looked up in the log of decisions. It must be a decision to "
    "release, for this purpose, recipient and kind, and resting on as many records as the row "
    "says.",
    "The item must have been decided by that decision, and must not have been denied when the "
    "release looked again right before it wrote.",
    "Everybody whose records that decision read must have agreed. A purpose that asks people must"
    " name at least one record.",
    "The rows must have been judged, before they were written, by the suite over what is written. That "
    "suite asks a witness, which reads roster and records by code of its own, whether everybody "
    "present is covered.",
)
HOW_LOOKED_UP: Final = (
    "Each record that those decisions name is looked up, by its id under the join key, among the "
    "records that releases have read: it must be there, and be a trusted yes. A record is looked up once for "
    "each decision that names it, so there are more of these than records.",
)
HOW_NOT_LOOKED_UP: Final = (
    "The records were not looked up one by one: that takes a key (--keys), which this report was "
    "made without.",
)
HOW_WRITTEN: Final = (
    "Every file of the store is read back, every column of every row.",
    "The suites are made from the contracts: closed sets, patterns and lengths, bounds of numbers, "
    "no column that no contract declares. Great Expectations judges the distinct values.",
    "A row counts once for each check that it does not meet. A check that saw no row counts as not "
    "exercised, which is not the same as passed.",
    "As a second control, detectors that know nothing of contracts look at every text of telemetry for "
    "secrets, addresses, numbers with checksums, prose, and what is packed or encoded. What they hit is "
    "to be reviewed by people; it is counted by column and never shown.",
)
SUBJECTS: Final = (
    "People in meetings: hosts, attendees and guests, employees of the controller, students, "
    "patients, minors, as far as the registry says which they are",
    "People in meetings whom nobody could identify",
    "People who are talked about and were not there, where the customer attests it",
)
DATA: Final = (
    "Names, e-mail addresses, phone numbers, network addresses and device names of people: sealed without "
    "being listed as items, and never released; of network addresses the first part can be telemetry",
    "What people said, wrote, showed and shared in meetings, and what was derived from it, biometric "
    "templates included: sealed, and released for a purpose that everybody concerned has agreed to",
    "Who met when, for how long and how well it worked: telemetry, under keyed pseudonyms",
    "What people agreed to or refused: read from signed records, of which the store keeps keyed digests, "
    "times and outcomes",
)
SECURITY: Final = (
    "Content is encrypted by the process that took it apart, with AES-256-GCM under a fresh key, "
    "before it is written anywhere.",
    "Of the keys to content, that process holds public halves only. It cannot open what it has sealed, nor "
    "can whoever takes its keys. (Keys of pseudonyms and digests are on both sides.)",
    "What opens it is a vault key of the release side (ML-KEM-768 with X25519), kept apart.",
    "Each opening needs a decision for the item, the purpose and the recipient, signed by the "
    "release side, and is a row of the table of openings.",
    "Telemetry names people, meetings and customers by keyed hashes (HMAC-SHA256), under other "
    "keys than rosters.",
    "Destroying a wrapped key ends all reading of what was under it; its destruction is logged.",
    "Everything that is done is an entry of a signed, append-only log that other people's tools verify.",
)
NOT_STATED: Final = (
    "Names of single recipients: the store knows first_party, processor and third_party.",
    "Transfers to third countries and what covers them: they are options of a release and are not kept.",
    "Who approved single cases: it is an option of a release and is not kept.",
    "The controller's representative and data-protection officer, beyond the contact in the registry.",
)
DESCRIPTION: Final = (
    "Events of meetings are taken apart field by field, by contracts that name every field.",
    "Numbers, units and words of closed sets go to telemetry. Content, and whatever no contract "
    "names, is sealed.",
    "Sealed content is released for a named purpose and recipient if everybody concerned has "
    "agreed, and stays sealed otherwise, until it is destroyed.",
)
NECESSITY: Final = (
    "Telemetry takes only what a contract names, and of that no free text: numbers within bounds,"
    " words of closed sets, patterns that carry no prose.",
    "A purpose is asked for by name. No purpose follows from another one, and none from having "
    "joined a meeting.",
    "What no purpose can use any more is due to be destroyed by `cofferdam erase`, and so is whatever is "
    "older than it may be.",
)
MEASURES: Final = {
    "sealed": (
        "Unknown fields, unknown event types and malformed records count as content and are sealed.",
        ("tests/pipeline/test_hostile.py",),
    ),
    "derived": (
        "What is derived from content counts as content, whatever it is called.",
        ("tests/pipeline/test_release_reasons.py",),
    ),
    "apart": ("The process that seals cannot open.", ("tests/pipeline/test_isolation.py",)),
    "reconciled": (
        "Every record has one outcome, and a run that does not reconcile commits nothing.",
        ("tests/pipeline/test_failures.py",),
    ),
    "suites": (
        "Decisions are judged by suites of expectations, with a second reading by other code.",
        ("tests/unit/validation/test_second_implementation.py",),
    ),
    "written": (
        "What a release is about to write is judged once more before it is written.",
        ("tests/pipeline/test_second_suite.py",),
    ),
    "stopped": (
        "A withdrawal stops the next release of everything that concerns the person.",
        ("tests/pipeline/test_release.py",),
    ),
    "erased": (
        "An erasure destroys keys, and looks again whether anything is left.",
        ("tests/pipeline/test_erase.py",),
    ),
}
"""Measures by what tells of them in a store, each with the tests that prove it of the software."""
RESIDUAL: Final = (
    "Whoever holds the release side's keys can open everything whose keys still exist.",
    "Pseudonyms are not anonymous: with the ingest keys, all phone or meeting numbers can be tried.",
    "Who met when stays in telemetry, under pseudonyms, for whoever may query it.",
    "A field that a reviewer has called telemetry is treated as telemetry, within its closed set,"
    " pattern or range.",
)
RISKS: Final = {
    "minors": ("MINOR",),
    "employees": ("POWER_IMBALANCE",),
    "special categories": ("SPECIAL_CATEGORY", "SECTOR_HIPAA"),
    "education records": ("SECTOR_FERPA",),
    "biometric templates": ("BIOMETRIC_RELEASE_REQUIRED",),
    "third parties": ("THIRD_PARTY_UNREDACTED",),
    "people nobody could identify": ("PARTICIPANT_UNIDENTIFIED", "ROSTER_INCOMPLETE", "NO_SUBJECTS"),
    "recording before everybody agreed": ("CAPTURE_NOT_CONSENTED",),
    "prohibited uses": ("PURPOSE_PROHIBITED",),
    "transfers without cover": ("TRANSFER_NOT_COVERED",),
    "disputed or unverified noes": ("DISPUTED_WITHDRAWAL", "CONFLICTING_RECORDS"),
    "records of people that share an id": ("RECORD_ID_COLLISION",),
}
"""Risks and the reasons that tell of them."""
LIMITS: Final = {
    "who speaks": "That the person whom an event names is the one who spoke or wrote. The platform says so.",
    "where people are": "That people are in the region that the registry or the event gives.",
    "what is attested": (
        "That what customers attest (who had agreed before the recording began, who is an employee) is true."
    ),
    "consent": ("That a signed record is what the person wanted. It proves that a registered key signed it."),
    "the law": (
        "That the profiles and lawful bases are right. They are engineering defaults until "
        "counsel has confirmed them; this report is no legal advice."
    ),
    "recipients": (
        "What recipients do with what they were given, and whether they deleted what was recalled."
    ),
    "copies elsewhere": "That there are no copies of input, keys or store that nobody told the software of.",
    "keeping the log": (
        "That the whole store, log included, was not replaced by whoever holds its keys. A "
        "checkpoint that was kept elsewhere shows it; one that never left the house does not."
    ),
    "contracts": "That contracts classify every field rightly.",
    "the reader": (
        "That this file is the report that was made. `cofferdam report verify` makes the JSON report again "
        "from the store and compares; for a page, make the page again with `cofferdam report`."
    ),
    "what was learned": (
        "That a no undoes what was learned from a copy before. A model that was trained with it stays "
        "as it is."
    ),
    "what was said since": (
        "What people have said since the last release. Decisions are of its instant, not of the report's."
    ),
    "the basis of meetings": (
        "That meetings may be held, recorded and their events kept. Decisions are about what is handed on."
    ),
}
"""What is not proven, by what it is about."""
NEEDS: Final = (
    "STORE is the folder of the store that this report is about.",
    "KEYS is the key directory; its release side is needed, since deciding again reads join pseudonyms.",
    "CONSENTS are the signed consent records that the release was given (`--consents`), with all that the "
    "decision saw; later ones are left out by themselves.",
    "REGISTRY is the registry that the release was given (`--registry`), with the hash that the decision "
    "names.",
    "Nothing is opened and nothing is written. Exit code 0 says that the decision comes out the same.",
)
HOW_SHORT: Final = "Lists are cut off at a fixed length, and say how many entries there are."
