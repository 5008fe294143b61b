"""Generated meetings in the shape of Zoom's webhooks: mixed events, numbers with units as text, secrets."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Final

from pipelines.generator_clock import clock_at
from pipelines.generator_expected import ZOOM, Batch, Expect, taken
from pipelines.generator_meetings import Meeting, Plan, Visit
from pipelines.generator_people import DEVICE_LABELS, Cast, Person, account_of, digits, letters, quoted
from pipelines.generator_pools import Pools

PERSONAL = ("meeting_title", "identity")
_FILES: Final = (
    ("MP4", "shared_screen_with_speaker_view", "video"),
    ("M4A", "audio_only", "audio"),
    ("TRANSCRIPT", "audio_transcript", "transcript"),
    ("CHAT", "chat_file", "chat"),
)
_TOKENS = (
    "download_token",
    "payload.object.password",
    "payload.object.recording_play_passcode",
)

STARTED = taken("meeting.started", "zoom_meeting", "meeting_title", is_presence=True)
ENDED = taken("meeting.ended", "zoom_meeting", "meeting_title", is_presence=True)
JOINED = taken("meeting.participant_joined", "zoom_participant", *PERSONAL, is_presence=True)
LEFT = taken("meeting.participant_left", "zoom_participant", *PERSONAL, is_presence=True)
QOS_GUEST = taken("meeting.participant_qos", "zoom_participant_qos", children={"participant_qos": 2})
QOS = QOS_GUEST.with_kinds("identity")
QOS_SUMMARY = taken(
    "meeting.participant_qos_summary",
    "zoom_participant_qos_summary",
    "identity",
    children={"participant_qos": 3},
)
DATA = taken(
    "meeting.participant_data", "zoom_participant_data", "identity", children={"participant_data": 1}
)
CHAT = taken("meeting.chat_message_sent", "zoom_meeting_chat", "chat", "identity")
SHARING = taken("meeting.sharing_started", "zoom_sharing", *PERSONAL, "secret")
ALERT = taken("meeting.alert", "zoom_meeting_alert", "meeting_title")
FEEDBACK = taken(
    "meeting.participant_feedback",
    "zoom_feedback",
    "identity",
    "chat",
    children={"participant_feedback_feedback_details": 1},
)
ROLE = taken("meeting.participant_role_changed", "zoom_participant_step", *PERSONAL)
RECORDING = taken(
    "recording.completed",
    "zoom_recording",
    *PERSONAL,
    "secret",
    *(kind for _, _, kind in _FILES),
    children={"recording_files": len(_FILES), "participant_audio_files": 1},
    dropped=_TOKENS,
)
SUMMARY = taken("meeting.summary_completed", "zoom_summary", *PERSONAL, "summary")
SIGNED_IN = taken("user.signed_in", "zoom_user_activity", "identity")
SIGNED_OUT = taken("user.signed_out", "zoom_user_activity", "identity")
PRESENCE = taken("user.presence_status_updated", "zoom_user_activity", "identity")
CREATED = taken("user.created", "zoom_user", "identity")

_ISSUES = ("Unstable audio quality", "Unstable video quality", "High CPU occupation", "Call Reconnection")
_REASONS = ("Left the meeting.", "Host ended the meeting.", "Network connection error.", "Removed by host.")


def record(event: str, milliseconds: int, payload: str, before: str = "") -> bytes:
    """A webhook's body.

    Args:
        event: Event type.
        milliseconds: Its time, ms since 1970 UTC.
        payload: The payload's members as JSON text.
        before: Members between the time and the payload.
    """
    return f'{{"event":"{event}","event_ts":{milliseconds},{before}"payload":{{{payload}}}}}'.encode()


class ZoomMeeting(Meeting):
    """A meeting on Zoom.

    Args:
        plan: What is settled about it.
        cast: The people and what they say.
        rng: Where all choices come from.
        pools: Prepared measurements.
    """

    source = ZOOM

    def __init__(self, plan: Plan, cast: Cast, rng: random.Random, pools: Pools) -> None:
        super().__init__(plan, cast, rng)
        self._pools = pools
        host = plan.visits[0].person
        self._host = host
        self.label = f"{plan.key}{letters(rng, 6)}=="
        self.account = account_of(plan.tenant)
        self._quality_head = f'"payload":{{"account_id":"{self.account}","object":{{"uuid":"{self.label}",'
        started = clock_text(self.text_at(0))
        self._about = (
            f'"account_id":"{self.account}","object":{{"id":"{plan.number}","uuid":"{self.label}",'
            f'"host_id":"{host.zoom_id}","topic":{plan.title},"type":2,"start_time":"{started}",'
            f'"timezone":"{host.home.timezone}","duration":{plan.minutes}'
        )
        for visit in plan.visits:
            visit.head = (
                f'"participant":{{"user_id":"{visit.session}","participant_user_id":"{visit.subject}",'
                f'"email":"{visit.email}","qos":['
            )

    def _batch(
        self,
        expect: Expect,
        milliseconds: int,
        payload: str,
        before: str = "",
        *,
        start: int | None = None,
        end: int | None = None,
        sender: Visit | None = None,
    ) -> Batch:
        self.note(expect, milliseconds, start, end, sender)
        return Batch(expect, [record(expect.event_type, milliseconds, payload, before)], ZOOM)

    def started(self) -> Batch:
        """The meeting begins."""
        return self._batch(STARTED, self.minute_ms, f"{self._about}}}", start=self.start_ms)

    def ended(self) -> Batch:
        """The meeting ends."""
        end, span = clock_text(self.text_at(self.minute)), (self.start_ms, self.minute_ms)
        return self._batch(
            ENDED, self.minute_ms, f'{self._about},"end_time":"{end}"}}', start=span[0], end=span[1]
        )

    def _participant(self, visit: Visit) -> str:
        phone = f',"phone_number":"{visit.person.phone}"' if visit.channel == "dial_in" else ""
        return (
            f'"participant":{{"user_id":"{visit.session}","user_name":{visit.person.name},'
            f'"id":"{visit.subject}","participant_uuid":"{visit.key}","email":"{visit.email}",'
            f'"participant_user_id":"{visit.subject}","registrant_id":""{phone}'
        )

    def joined(self, visit: Visit) -> Iterator[Batch]:
        """Somebody joins, and the client says what it runs on."""
        when = self.minute_ms + visit.milliseconds
        moment = self.text_at(self.minute) + visit.second
        body = f'{self._about},{self._participant(visit)},"join_time":"{moment}"}}}}'
        yield self._batch(JOINED, when, body, start=self.start_ms, sender=visit)
        if visit.channel in ("app", "room_device"):
            yield self._batch(DATA, when + 700, self._devices(visit))

    def _devices(self, visit: Visit) -> str:
        label = quoted(self.rng.choice(DEVICE_LABELS))
        address = f"10.{self.rng.randrange(256)}.{self.rng.randrange(256)}.{self.rng.randrange(1, 255)}"
        email = f'"email":"{visit.email}",' if visit.email else ""
        return (
            f'"account_id":"{self.account}","object":{{"uuid":"{self.label}","participant":{{'
            f'"participant_id":"{visit.session}","participant_user_id":"{visit.subject}",{email}"data":[{{'
            f'"device":"{self.rng.choice(("WIN", "MAC", "IOS", "ANDROID", "LINUX"))}",'
            f'"location":"{visit.person.home.timezone.partition("/")[2]}",'
            f'"network_type":"{self.rng.choice(("Wired", "Wifi", "Cellular", "PPP"))}",'
            f'"microphone":{label},"speaker":{label},"camera":{label},"data_center":"FR",'
            f'"connection_type":"{self.rng.choice(("UDP", "TCP", "SSL", "P2P"))}","pc_name":"PC-{visit.key}",'
            f'"mac_addr":"02:00:5E:{visit.session[:2]}:{visit.session[2:4]}:{visit.session[4:6]}",'
            f'"version":"6.{self.rng.randrange(9)}.{self.rng.randrange(999)}.{self.rng.randrange(9999)}",'
            f'"signaling_ip_address":"192.0.2.{self.rng.randrange(1, 255)}",'
            f'"audio_internal_ip_address":"{address}",'
            f'"audio_internal_ip_port":"{self.rng.randrange(1024, 65535)}"'
            f"}}]}}}}"
        )

    def left(self, visit: Visit) -> Iterator[Batch]:
        """Somebody leaves; a summary of the quality follows, and now and then feedback."""
        when = self.minute_ms + visit.milliseconds
        moment = self.text_at(self.minute) + visit.second
        why = f"{visit.person.plain_name} left the meeting.<br>Reason: {self.rng.choice(_REASONS)}"
        body = (
            f'{self._about},{self._participant(visit)},"leave_time":"{moment}",'
            f'"leave_reason":{quoted(why)}}}}}'
        )
        yield self._batch(LEFT, when, body, start=self.start_ms, sender=visit)
        if visit.channel != "dial_in":
            yield self._batch(QOS_SUMMARY, when + 900, self._quality_summary(visit))
        if self.rng.random() < 0.04:
            yield self._batch(FEEDBACK, when + 5000, self._feedback(visit), sender=visit)

    def _quality_summary(self, visit: Visit) -> str:
        parts = ",".join(self._pools.zoom_summary(self.rng))
        return (
            f'"account_id":"{self.account}","object":{{"uuid":"{self.label}","participant":{{'
            f'"participant_id":"{visit.session}","user_name":{visit.person.name},"id":"{visit.subject}",'
            f'"email":"{visit.email}","qos":[{parts}]}}}}'
        )

    def _feedback(self, visit: Visit) -> str:
        return (
            f'"account_id":"{self.account}","object":{{"id":"{self.plan.number}","uuid":"{self.label}",'
            f'"participant":{{"participant_uuid":"{visit.key}","participant_user_id":"{visit.subject}",'
            f'"user_name":{visit.person.name},"feedback":{{"satisfied":false,"feedback_details":[{{"id":"2",'
            f'"name":"Poor audio quality"}}],"comments":{self.rng.choice(self.cast.sayings)}}}}}}}'
        )

    def quality(self, visits: Sequence[Visit]) -> Iterator[Batch]:
        """One quality record for each visit; guests have no mail address in theirs."""
        known = [visit for visit in visits if not visit.is_guest]
        yield Batch(QOS, self._quality(known), ZOOM)
        if len(known) < len(visits):
            yield Batch(QOS_GUEST, self._quality([visit for visit in visits if visit.is_guest]), ZOOM)

    def _quality(self, visits: Sequence[Visit]) -> list[bytes]:
        """Nine tenths of all records are made here, so it only puts prepared pieces together."""
        start, text, head = self.minute_ms, self.text_at(self.minute), self._quality_head
        first, second = self._pools.zoom_sound, self._pools.zoom_picture
        bits = self.rng.getrandbits
        lines = []
        for visit in visits:
            choice = bits(24)
            moment = text + visit.second
            lines.append(
                (
                    f'{{"event":"meeting.participant_qos","event_ts":{start + visit.milliseconds},{head}'
                    f'{visit.head}{{"date_time":"{moment}",{first[choice & 4095]}}},'
                    f'{{"date_time":"{moment}",{second[choice >> 12]}}}]}}}}}}}}'
                ).encode()
            )
        return lines

    def extras(self, visits: Sequence[Visit]) -> Iterator[Batch]:
        """What people do in this minute."""
        rng = self.rng
        if rng.random() < min(0.9, 0.03 * len(visits)):
            yield self._chat(rng.choice(visits), rng.choice(visits))
        if rng.random() < 0.02:
            yield self._sharing(rng.choice(visits))
        if rng.random() < 0.02:
            issue = rng.choice(_ISSUES)
            yield self._batch(ALERT, self.minute_ms + 59_000, f'{self._about},"issues":["{issue}"]}}')
        if rng.random() < 0.01:
            visit = rng.choice(visits)
            change = ',"old_role":"attendee","new_role":"co-host"'
            body = f"{self._about},{self._participant(visit)}{change}}}}}"
            yield self._batch(ROLE, self.minute_ms + 31_000, body, sender=visit)

    def _chat(self, sender: Visit, to: Visit) -> Batch:
        moment = self.text_at(self.minute) + sender.second
        address = f'"sender_email":"{sender.email}",' if sender.email else ""
        body = (
            f'"account_id":"{self.account}","object":{{"id":{self.plan.number},"uuid":"{self.label}",'
            f'"chat_message":{{"date_time":"{moment}","sender_session_id":"{sender.session}",'
            f'"sender_name":{sender.person.name},{address}"sender_type":"{_role(sender)}",'
            f'"recipient_session_id":"{to.session}","recipient_name":{to.person.name},'
            f'"recipient_type":"{_role(to)}","message_id":"{letters(self.rng, 24)}==",'
            f'"message_content":{self.rng.choice(self.cast.sayings)}}}}}'
        )
        return self._batch(CHAT, self.minute_ms + sender.milliseconds, body, sender=sender)

    def _sharing(self, visit: Visit) -> Batch:
        moment = self.text_at(self.minute) + visit.second
        body = (
            f'{self._about},{self._participant(visit)},"sharing_details":{{"content":"document",'
            f'"link_source":"in_meeting","source":"dropbox",'
            f'"file_link":"https://files.example/s/{letters(self.rng, 20)}","date_time":"{moment}"}}}}}}'
        )
        return self._batch(SHARING, self.minute_ms + visit.milliseconds, body, sender=visit)

    def afterwards(self) -> Iterator[Batch]:
        """Recordings and the summary."""
        if self.plan.is_recorded:
            secret = f'"download_token":"{letters(self.rng, 40)}",'
            when = self.minute_ms + 240_000
            yield self._batch(
                RECORDING, when, self._recording(), secret, start=self.start_ms, end=self.minute_ms
            )
        if self.plan.is_transcribed:
            when, end = self.minute_ms + 300_000, self.minute_ms
            yield self._batch(SUMMARY, when, self._summary(), start=self.start_ms, end=end)

    def _recording(self) -> str:
        files = ",".join(self._file(kind, sort, "") for kind, sort, _ in _FILES)
        own = self._file("M4A", "audio_only", f',"file_name":{self._host.name}')
        return (
            f'{self._about},"host_email":"{self._host.email}","password":"{letters(self.rng, 8)}",'
            f'"share_url":"https://meet.example/rec/{letters(self.rng, 30)}","total_size":{self._size()},'
            f'"recording_count":{len(_FILES)},"auto_delete":true,"auto_delete_date":"2026-12-31","on_prem":false,'
            f'"recording_play_passcode":"{letters(self.rng, 24)}","recording_files":[{files}],'
            f'"participant_audio_files":[{own}]}}'
        )

    def _size(self) -> int:
        return self.rng.randrange(10_000, 900_000_000)

    def _file(self, kind: str, sort: str, more: str) -> str:
        extension = {"TRANSCRIPT": "VTT", "CHAT": "TXT"}.get(kind, kind)
        start, end = clock_text(self.text_at(0)), clock_text(self.text_at(self.minute))
        return (
            f'{{"id":"{letters(self.rng, 20)}","recording_start":"{start}","recording_end":"{end}",'
            f'"recording_type":"{sort}","file_type":"{kind}","file_extension":"{extension}",'
            f'"file_size":{self._size()},"status":"completed",'
            f'"play_url":"https://meet.example/rec/play/{letters(self.rng, 30)}",'
            f'"download_url":"https://meet.example/rec/download/{letters(self.rng, 30)}"{more}}}'
        )

    def _summary(self) -> str:
        start, end = clock_text(self.text_at(0)), clock_text(self.text_at(self.minute))
        said = "\\n- ".join(self.rng.choice(self.cast.sayings)[1:-1] for _ in range(4))
        return (
            f'"account_id":"{self.account}","object":{{"meeting_host_id":"{self._host.zoom_id}",'
            f'"meeting_host_email":"{self._host.email}","meeting_uuid":"{self.label}",'
            f'"meeting_id":{self.plan.number},"meeting_topic":{self.plan.title},'
            f'"meeting_start_time":"{start}","meeting_end_time":"{end}","summary_start_time":"{start}",'
            f'"summary_end_time":"{end}","summary_title":{self.plan.title},"summary_content":"{said}"}}'
        )


def _role(visit: Visit) -> str:
    return "host" if visit.is_host else "guest"


def clock_text(minute: str) -> str:
    """RFC 3339 text of the beginning of a minute."""
    return f"{minute}00Z"


def between_meetings(rng: random.Random, person: Person, number: int, milliseconds: int) -> Batch:
    """A record of an account, outside any meeting.

    Args:
        rng: Where all choices come from.
        person: Whose account.
        number: A number that no other such record has: records without an id must differ in their bodies.
        milliseconds: Its time, ms since 1970 UTC.
    """
    expect = (SIGNED_IN, SIGNED_OUT, PRESENCE, CREATED)[number % 4]
    moment = clock_at(milliseconds)
    who = f'"id":"{person.zoom_id}","email":"{person.email}"'
    if expect is CREATED:
        first, _, last = person.plain_name.partition(" ")
        body = (
            f'"operator":"admin@{person.tenant}.example","creation_type":"create","object":{{"id":"z{number:010d}",'
            f'"email":"new{number}@{person.tenant}.example","first_name":{quoted(first)},'
            f'"last_name":{quoted(last)},"type":{rng.choice((1, 2))}}}'
        )
    elif expect is PRESENCE:
        status = rng.choice(("Away", "Available"))
        body = f'"object":{{{who},"date_time":"{moment}","presence_status":"{status}"}}'
    else:
        version = f"6.{number % 10}.{digits(rng, 4)}"
        body = f'"object":{{{who},"client_type":"android","date_time":"{moment}","version":"{version}"}}'
    line = record(expect.event_type, milliseconds, f'"account_id":"{account_of(person.tenant)}",{body}')
    return Batch(expect, [line], ZOOM)
