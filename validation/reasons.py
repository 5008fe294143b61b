"""The catalogue of reasons: each code with its rank, effect, plain sentence, legal hook and cure.

Codes are append-only: a code that was ever written into a decision keeps its meaning.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

ADVISORY: Final = "ADVISORY"
NOT_CURABLE: Final = "None: this cannot be put right for this item and purpose."


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an item is not released, or what to know although it is.

    Attributes:
        code: Stable identifier.
        rank: Order of importance; the lowest rank leads.
        action: QUARANTINE, ERASE or REJECT, or ADVISORY for what blocks nothing.
        sentence: One plain sentence.
        hook: The rule of law or of the product that asks for it.
        cure: What would change the outcome.
    """

    code: str
    rank: int
    action: str
    sentence: str
    hook: str
    cure: str


_REJECT: Final = (
    (
        "CAPTURE_NOT_CONSENTED",
        "Sound or picture was recorded before everybody had agreed, which the law asks for here.",
        "StGB 201; Cal. Penal Code 632; GDPR Art. 5(1)(a)",
        NOT_CURABLE,
    ),
    (
        "E2EE_CLAIM_VIOLATION",
        "The meeting was promised end-to-end encryption, and readable content of it reached the server.",
        "FTC Act s. 5; GDPR Art. 5(1)(f)",
        "None for this item: find out how readable content left the participants' devices.",
    ),
    (
        "PURPOSE_PROHIBITED",
        "The law forbids this purpose for one of the people concerned, whoever agrees.",
        "AI Act Art. 5(1)(f)",
        NOT_CURABLE,
    ),
    (
        "SCHEMA_INVALID",
        "The item lacks a field that every decision needs, or the field cannot be read.",
        "GDPR Art. 5(2), 25",
        "Send it again with kind, lane, purpose, subjects, recorded_end, controller, tenant and meeting.",
    ),
)
_LEGAL_HOLD: Final = (
    (
        "LEGAL_HOLD",
        "The item is kept for a legal claim, or its hold, erasure or retention mark cannot be read.",
        "GDPR Art. 17(3)(e)",
        "Lift the hold, or correct the mark that cannot be read.",
    ),
)
_DEADLINES: Final = (
    (
        "ERASURE_REQUESTED",
        "Somebody has asked that this item be erased.",
        "GDPR Art. 17(1)",
        "None: it is due to be erased.",
    ),
    (
        "RETENTION_EXCEEDED",
        "The time for which this item may be kept is over.",
        "GDPR Art. 5(1)(e)",
        "None: it is due to be erased.",
    ),
)
_NEGATIVES: Final = (
    (
        "REFUSED",
        "A person has said no to this use.",
        "GDPR Art. 4(11), 7",
        "Only a newer consent of that person's own free choice.",
    ),
    (
        "WITHDRAWN",
        "A person has taken back the consent, and nothing newer replaces it.",
        "GDPR Art. 7(3), 17(1)(b)",
        "Only a newer consent that covers recordings of the past.",
    ),
)
_DOUBT: Final = (
    (
        "CONFLICTING_RECORDS",
        "A yes and a no of the same person carry the same instant.",
        "GDPR Art. 7(1)",
        "Ask the person again; the newer record decides.",
    ),
    (
        "CONSENT_INVALIDATED",
        "The controller or an authority has declared the consent invalid.",
        "GDPR Art. 7(1)",
        "Ask the person again in a valid way.",
    ),
    (
        "DISPUTED_WITHDRAWAL",
        "There is a no that cannot be verified; until that is settled it is not ignored.",
        "GDPR Art. 7(3)",
        "Verify the record: a proven withdrawal stops the use, a proven forgery is removed from the ledger.",
    ),
    (
        "RECORD_ID_COLLISION",
        "Two different records of this person carry the same record id.",
        "GDPR Art. 5(1)(d), 7(1)",
        "Find out which of the records is genuine and remove the other at its source.",
    ),
)
_CLASSES: Final = (
    (
        "CLASS_UNKNOWN",
        "The lane or the kind of the item is not in the closed list, so nobody knows what it is.",
        "GDPR Art. 25(2)",
        "Add the kind to the contract with its classification.",
    ),
    (
        "FIELD_NOT_ALLOWLISTED",
        "An event that calls itself service data carries a field that its contract does not know.",
        "GDPR Art. 5(1)(c), 25(2)",
        "Add the field to the contract, with its classification, or stop sending it.",
    ),
    (
        "LINEAGE_UNKNOWN",
        "A block of numbers or bytes calls itself service data, and nothing proves what it was made from.",
        "GDPR Art. 5(2)",
        "Supply the lineage of the field.",
    ),
    (
        "PURPOSE_UNKNOWN",
        "The purpose is not registered.",
        "GDPR Art. 5(1)(b)",
        "Register the purpose with its lawful basis in every region.",
    ),
)
_LOCKS: Final = (
    (
        "CASE_NOT_AUTHORISED",
        "This purpose is allowed case by case only, and the case has no id or not two different approvers.",
        "GDPR Art. 5(1)(b), 32(4)",
        "Name the case and have a second person approve it.",
    ),
    (
        "SECTOR_FERPA",
        "The recording is part of an education record and nobody with the right to do so has consented.",
        "34 CFR 99.30",
        "Obtain the written consent that FERPA asks for.",
    ),
    (
        "SECTOR_HIPAA",
        "The recording holds health information of a patient and there is no authorisation for this use.",
        "45 CFR 164.508",
        "Obtain the patient's authorisation.",
    ),
    (
        "TENANT_NOT_AUTHORISED",
        "The customer whose meeting this was has not allowed this use.",
        "GDPR Art. 28(3)(a)",
        "The customer authorises the purpose; each participant's own consent is needed as well.",
    ),
    (
        "THIRD_PARTY_UNREDACTED",
        "The content speaks of a person who was not there and could not agree.",
        "GDPR Art. 6(1), 14",
        "Redact the mention.",
    ),
    (
        "TRANSFER_NOT_COVERED",
        "The item would leave for another country without a transfer mechanism.",
        "GDPR Art. 44-49",
        "Put a transfer mechanism in place and name it, or do not export.",
    ),
)
_PROTECTED: Final = (
    (
        "MINOR",
        "A minor is concerned and no guardian's consent of the kind that is asked for exists.",
        "GDPR Art. 8; COPPA Rule 16 CFR 312.5",
        "A guardian's consent; for training a separate one, and in some regions none is accepted.",
    ),
    (
        "POWER_IMBALANCE",
        "An employee agreed and nothing attests that a no would have had no consequences.",
        "GDPR Art. 7, rec. 43; EDPB Guidelines 05/2020",
        "An attestation that the employer cannot see the choice and attaches nothing to it.",
    ),
)
_ROSTER: Final = (
    (
        "NO_SUBJECTS",
        "Nobody is known to have been present, so nobody can have agreed.",
        "GDPR Art. 7(1)",
        "Supply the meeting's roster.",
    ),
    (
        "PARTICIPANT_UNIDENTIFIED",
        "A participant cannot be identified, so no record can be the participant's own.",
        "GDPR Art. 7(1)",
        "Identify the participant, for example by linking the dial-in number to an account.",
    ),
    (
        "ROSTER_INCOMPLETE",
        "It cannot be attested who was present.",
        "ePrivacy Directive Art. 5(1)",
        "Supply the missing start, end, join or leave events, or the headcount of the room.",
    ),
)
_METADATA: Final = (
    (
        "OPTED_OUT",
        "A person has opted out of this use of communications metadata.",
        "Cal. Civ. Code 1798.120; 11 CCR 7025",
        "The person lifts the opt-out.",
    ),
    (
        "SECONDARY_USE_NO_CONSENT",
        "Diagnostics of single people would be used for another purpose without their consent.",
        "GDPR Art. 6(4); ePrivacy Directive Art. 5(3)",
        "Everybody's consent, or an aggregate over enough people.",
    ),
    (
        "TERMINAL_ACCESS_NO_CONSENT",
        "Optional diagnostics were read from a device whose user has not agreed.",
        "ePrivacy Directive Art. 5(3)",
        "The consent of the device's user.",
    ),
    (
        "TRAFFIC_DATA_NO_CONSENT",
        "Who met whom and when would be used for another purpose without everybody's consent.",
        "ePrivacy Directive Art. 6",
        "Consent of all users concerned that names this kind of data.",
    ),
)
_SOME: Final = (
    (
        "NOT_ALL_PARTICIPANTS",
        "Some of the people concerned agree and some do not.",
        "ePrivacy Directive Art. 5(1)",
        "The consent of those who are missing.",
    ),
)
_TRUST: Final = (
    (
        "BACKDATED",
        "A record reached the ledger long after the time that it states for itself.",
        "GDPR Art. 7(1)",
        "An import attestation by the system that it comes from.",
    ),
    (
        "FUTURE_DATED",
        "A record states a time that has not come.",
        "GDPR Art. 7(1)",
        "Correct the clock at the source and record the choice again.",
    ),
    (
        "KEY_REVOKED",
        "A record is signed with a key that had been revoked.",
        "GDPR Art. 7(1), 32",
        "Record the choice again under a valid key.",
    ),
    (
        "NOTICE_HASH_MISMATCH",
        "The notice that the person saw is not the archived notice of these terms.",
        "GDPR Art. 7(1), 13",
        "Ask again with the archived notice.",
    ),
    (
        "SIGNATURE_INVALID",
        "A record's signature does not verify, or the record cannot be read.",
        "GDPR Art. 7(1), 32",
        "Send the record again as it was signed.",
    ),
    (
        "SIGNATURE_KEY_UNKNOWN",
        "A record is signed with a key that is not registered.",
        "GDPR Art. 7(1), 32",
        "Register the key, if it is genuine.",
    ),
    (
        "WRONG_CONTROLLER",
        "A record was given to another controller.",
        "GDPR Art. 4(7), 7(1)",
        "The consent given to the controller of this item.",
    ),
)
_ON_BEHALF: Final = (
    (
        "ADMIN_ON_BEHALF",
        "Somebody without the right to do so agreed for the person, for example the account's administrator.",
        "GDPR Art. 4(11)",
        "The person's own consent.",
    ),
    (
        "HOST_ON_BEHALF",
        "The host agreed for another participant.",
        "GDPR Art. 4(11); ePrivacy Directive Art. 5(1)",
        "The participant's own consent.",
    ),
)
_FORM: Final = (
    (
        "BUNDLED",
        "One switch covered this purpose together with another one.",
        "GDPR Art. 7(2), rec. 43",
        "A choice of its own for this purpose.",
    ),
    (
        "CONDITIONAL_SERVICE",
        "Without the yes the service could not be used.",
        "GDPR Art. 7(4)",
        "Ask again where a no leaves the service as it is.",
    ),
    (
        "IMPLIED_ONLY",
        "The person merely stayed in the meeting.",
        "GDPR Art. 4(11); EDPB Guidelines 05/2020 para. 86",
        "An express yes.",
    ),
    (
        "NOTICE_ONLY",
        "The person was told and acknowledged it, which is not agreeing.",
        "GDPR Art. 4(11)",
        "An express yes.",
    ),
    (
        "OPT_OUT_ONLY",
        "The person did not object, which is not agreeing.",
        "GDPR Art. 4(11), rec. 32",
        "An express yes.",
    ),
    (
        "PRETICKED",
        "The box was ticked beforehand.",
        "GDPR rec. 32; CJEU C-61/19",
        "An express yes.",
    ),
    (
        "TOS_ONLY",
        "The person accepted general terms, which is not agreeing to this use.",
        "GDPR Art. 7(2); Cal. Civ. Code 1798.140(h)",
        "An express yes, apart from the terms.",
    ),
)
_COVERAGE: Final = (
    (
        "KIND_MISMATCH",
        "The consent does not cover this kind of content.",
        "GDPR Art. 6(1)(a)",
        "A consent that names the kind, or what it is made from; a biometric template must be named itself.",
    ),
    (
        "PURPOSE_MISMATCH",
        "The consent is for another purpose.",
        "GDPR Art. 5(1)(b), 6(1)(a)",
        "A consent that names this purpose.",
    ),
    (
        "PURPOSE_NOT_SPECIFIC",
        "The purpose is too vague to be agreed to in this region.",
        "GDPR Art. 4(11); EDPB Guidelines 05/2020 para. 55",
        "Register a purpose that says what is done, and ask for that.",
    ),
    (
        "RECIPIENT_MISMATCH",
        "The recipient is not one for whom this use is allowed.",
        "GDPR Art. 13(1)(e), 6(1)",
        "A consent that names this kind of recipient, or another recipient.",
    ),
    (
        "SCOPE_MISMATCH",
        "The consent is for another meeting or another customer's meetings.",
        "GDPR Art. 6(1)(a)",
        "A consent whose scope covers this meeting.",
    ),
)
_TERMS: Final = (
    (
        "TERMS_VERSION_NOT_IN_FORCE",
        "The consent cites terms that did not apply yet when it was given.",
        "GDPR Art. 7(1), 13",
        "A consent under terms in force.",
    ),
    (
        "TERMS_VERSION_SUPERSEDED",
        "The terms have changed materially since the consent.",
        "GDPR Art. 13(3); FTC Act s. 5",
        "A consent under the present terms.",
    ),
    (
        "TERMS_VERSION_UNKNOWN",
        "The consent cites terms that are not registered.",
        "GDPR Art. 7(1)",
        "Register the terms with the hash of their text, or ask again.",
    ),
)
_TIME: Final = (
    (
        "EXPIRED",
        "The consent was given for a time that is over.",
        "GDPR Art. 7",
        "A new consent.",
    ),
    (
        "NOT_YET_VALID",
        "The consent begins later.",
        "GDPR Art. 7",
        "Decide again when it has begun.",
    ),
    (
        "RETROACTIVE_NOT_COVERED",
        "The consent came after the recording and does not say that it covers the past.",
        "GDPR Art. 4(11); EDPB Guidelines 05/2020 para. 90",
        "A consent that covers recordings of the past by its own words.",
    ),
    (
        "STALE",
        "The consent is older than this region lets one rely upon.",
        "EDPB Guidelines 05/2020 para. 110-111",
        "A renewed consent.",
    ),
)
_SENSITIVE: Final = (
    (
        "BIOMETRIC_RELEASE_REQUIRED",
        "A voiceprint or face template needs a stronger form of consent than was given.",
        "740 ILCS 14/15; GDPR Art. 9(2)(a)",
        "A written release or explicit statement, and the retention policy, as the region asks.",
    ),
    (
        "SPECIAL_CATEGORY",
        "The content reveals sensitive facts and the consent is not explicit enough.",
        "GDPR Art. 9(2)(a)",
        "An explicit statement, or a written release where the region asks for one.",
    ),
)
_PENDING: Final = (
    (
        "PENDING",
        "The person has been asked and has not answered.",
        "GDPR Art. 4(11)",
        "The person's answer.",
    ),
)
_NOTHING: Final = (
    (
        "NO_CONSENT",
        "There is no consent of this person.",
        "GDPR Art. 6(1)(a); ePrivacy Directive Art. 5(1)",
        "The person's own, express consent.",
    ),
)
_ADVISORIES: Final = (
    (
        "CLOCK_SKEW_TOLERATED",
        "A record's clock ran a little ahead; its time counts as the instant of the decision.",
        "GDPR Art. 7(1)",
        "Set the clock at the source.",
    ),
    (
        "DERIVED_FROM_CONTENT",
        "The item called itself service data but comes from content, and was treated as content.",
        "ePrivacy Directive Art. 5(1)",
        "Correct the label at the source.",
    ),
    (
        "DUPLICATE_IGNORED",
        "A record was delivered more than once and counted once.",
        "GDPR Art. 5(1)(d)",
        "Nothing needs to be done.",
    ),
    (
        "EMPLOYEE_CONSENT",
        "An employee is among those who were asked.",
        "GDPR Art. 88",
        "Review now and then that a no has no consequences.",
    ),
    (
        "JURISDICTION_ASSUMED_STRICTEST",
        "A region is unknown or has no profile, so the strictest rules applied.",
        "GDPR Art. 25",
        "Supply the region, or a profile for it.",
    ),
    (
        "TERMS_COMPATIBLE_UPDATE",
        "The consent cites older terms that the present ones do not change materially.",
        "GDPR Art. 13(3)",
        "Nothing needs to be done.",
    ),
    (
        "UNTRUSTED_RECORD_IGNORED",
        "A record that cannot be trusted was left aside; another one carries the decision.",
        "GDPR Art. 7(1), 32",
        "Look for where the untrusted record came from.",
    ),
)

_GROUPS: Final = (
    (10, "REJECT", _REJECT),
    (20, "QUARANTINE", _LEGAL_HOLD),
    (30, "ERASE", _DEADLINES),
    (40, "ERASE", _NEGATIVES),
    (45, "QUARANTINE", _DOUBT),
    (50, "QUARANTINE", _CLASSES),
    (55, "QUARANTINE", _LOCKS),
    (58, "QUARANTINE", _PROTECTED),
    (60, "QUARANTINE", _ROSTER),
    (65, "QUARANTINE", _METADATA),
    (70, "QUARANTINE", _SOME),
    (80, "QUARANTINE", _TRUST),
    (82, "QUARANTINE", _ON_BEHALF),
    (84, "QUARANTINE", _FORM),
    (86, "QUARANTINE", _COVERAGE),
    (87, "QUARANTINE", _TERMS),
    (88, "QUARANTINE", _TIME),
    (90, "QUARANTINE", _SENSITIVE),
    (94, "QUARANTINE", _PENDING),
    (96, "QUARANTINE", _NOTHING),
    (200, ADVISORY, _ADVISORIES),
)

CATALOGUE: Final[dict[str, Reason]] = {
    code: Reason(code, rank, action, sentence, hook, cure)
    for rank, action, entries in _GROUPS
    for code, sentence, hook, cure in entries
}
"""Every code to its reason, in order of rank."""

RANK: Final[dict[str, int]] = {code: reason.rank for code, reason in CATALOGUE.items()}


def in_order(codes: Iterable[str]) -> tuple[str, ...]:
    """Codes once each, by rank, then by name.

    >>> in_order(["NO_CONSENT", "WITHDRAWN", "REFUSED"])
    ('REFUSED', 'WITHDRAWN', 'NO_CONSENT')
    """
    return tuple(sorted(set(codes), key=lambda code: (RANK[code], code)))
