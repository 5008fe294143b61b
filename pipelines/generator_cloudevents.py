"""Generated meetings in Cofferdam's own CloudEvents: one meaning an event, media and what is made of it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from pipelines.generator_clock import clock_at
from pipelines.generator_cloud_records import EMITTER, client_of, log_line, record
from pipelines.generator_expected import COFFERDAM, Batch, Expect, taken
from pipelines.generator_meetings import Meeting, Plan, Visit
from pipelines.generator_people import DEVICE_LABELS, FILE_NAMES, Cast, Person, letters, quoted
from pipelines.generator_pools import Pools

STARTED = taken("meeting.started", "cofferdam_meeting", "meeting_title", "secret", is_presence=True)
ENDED = taken("meeting.ended", "cofferdam_meeting", "meeting_title", is_presence=True)
JOINED = taken("meeting.participant.joined", "cofferdam_participant", "identity", is_presence=True)
LEFT = taken("meeting.participant.left", "cofferdam_participant", "audio", is_presence=True)
QUALITY_SOUND = taken("meeting.quality", "cofferdam_quality", children={"streams": 1})
QUALITY = taken("meeting.quality", "cofferdam_quality", children={"streams": 2})
QUALITY_LEVEL = QUALITY_SOUND.with_kinds("audio")
LOG = taken("diagnostics.log", "cofferdam_diagnostics", "unclassified")
CRASH = taken("diagnostics.crash", "cofferdam_crash", "unclassified")
FEATURE = taken("usage.feature", "cofferdam_feature")
SEARCH = FEATURE.with_kinds("chat")
CHAT = taken("chat.message.sent", "cofferdam_chat", "chat")
DIRECT_CHAT = CHAT.with_kinds("identity")
REACTION = taken("reaction.sent", "cofferdam_reaction", "reaction")
FILE = taken("file.shared", "cofferdam_file", "file", "secret", dropped=("data.download_token",))
POLL_OPENED = taken("poll.opened", "cofferdam_poll", "poll")
POLL_ANSWERED = taken("poll.answered", "cofferdam_poll", "poll")
WHITEBOARD = taken("whiteboard.updated", "cofferdam_whiteboard", "whiteboard")
AUDIO = taken("audio.chunk", "cofferdam_audio", "audio")
VIDEO = taken("video.chunk", "cofferdam_video", "video")
SCREEN = taken("screen_share.chunk", "cofferdam_screen_share", "screen_share")
TRANSCRIPT = taken("transcript.segment", "cofferdam_transcript", "transcript")
CAPTION = taken("caption.segment", "cofferdam_caption", "caption")
TRANSLATION = taken("translation.segment", "cofferdam_caption", "caption", "translation")
SUMMARY = taken("summary.completed", "cofferdam_summary", "summary")
EMBEDDING = taken("embedding.computed", "cofferdam_vector", "embedding")
VOICEPRINT = taken("embedding.computed", "cofferdam_vector", "voiceprint")

_FEATURES = (
    "mute",
    "camera",
    "chat",
    "reactions",
    "captions",
    "raise_hand",
    "settings",
    "virtual_background",
)
_REASONS = ("left", "left", "left", "connection_lost", "removed", "timed_out")


class CloudMeeting(Meeting):
    """A meeting on a platform that sends Cofferdam's CloudEvents.

    Args:
        plan: What is settled about it.
        cast: The people and what they say.
        rng: Where all choices come from.
        pools: Prepared measurements.
    """

    source = COFFERDAM
    tick = 1000

    def __init__(self, plan: Plan, cast: Cast, rng: random.Random, pools: Pools) -> None:
        super().__init__(plan, cast, rng)
        self._pools = pools
        self._sequence = 0
        self._boards = 0
        self.label = f"mtg_{plan.key}"
        self.account = plan.tenant
        self._where = f'"tenant_id":"{self.account}","meeting_id":"{self.label}"'
        for visit in plan.visits:
            user = "" if visit.is_guest else f'"user_id":"{visit.person.user_id}",'
            visit.head = (
                f'{self._where},"participant":{{{user}"join_id":"join_{visit.key}",'
                f'"channel":"{visit.channel}","region":"{visit.person.home.region}"'
            )

    def _id(self) -> str:
        self._sequence += 1
        return f"{self.plan.key}-{self._sequence:06x}"

    def _batch(
        self,
        expect: Expect,
        moment: str,
        data: str,
        more: str = "",
        *,
        at: int | None = None,
        start: int | None = None,
        sender: Visit | None = None,
        is_objected: bool = False,
    ) -> Batch:
        when = self.minute_ms if at is None else at
        self.note(expect, when, when if start is None else start, when, sender, is_objected)
        return Batch(expect, [record(expect.event_type, self._id(), moment, data, more)], COFFERDAM)

    def _by(
        self, expect: Expect, visit: Visit, data: str, *, has_span: bool = False, is_objected: bool = False
    ) -> Batch:
        """An event about one visit, at one instant or with a span."""
        moment = self.text_at(self.minute) + visit.second
        at = self._moment(visit)
        start = at - (self.minute - self._before) * 60_000 if has_span else at
        about = f'"subject":"join_{visit.key}",'
        body = f"{visit.head}}},{data}"
        objected = is_objected and visit.person.objects
        return self._batch(
            expect, moment, body, about, at=at, start=start, sender=visit, is_objected=objected
        )

    @property
    def _before(self) -> int:
        """The minute in which spans begin that end in this one."""
        return max(self.minute - 1, 0)

    def _span(self, visit: Visit) -> str:
        """The last minute before a visit's events of this minute."""
        start = self.text_at(self._before) + visit.second
        return f'"started_at":"{start}","ended_at":"{self.text_at(self.minute)}{visit.second}"'

    def _consent(self, visit: Visit) -> str:
        """What the platform claims about consent; the records decide, whatever stands here."""
        person = visit.person
        claim = '"purposes":["ai_training"],"status":"given"' if person.agrees else '"status":"unknown"'
        refuses = _truth(person.objects)
        return f'"consent":{{"record_ids":["r-c{person.number:06d}"],{claim},"refuses":{refuses}}}'

    def started(self) -> Batch:
        """The meeting begins."""
        moment = self.text_at(0) + "00Z"
        data = (
            f'{self._where},"title":{self.plan.title},"passcode":"{letters(self.rng, 8)}",'
            f'"join_url":"https://meet.example/j/{letters(self.rng, 24)}","meeting_type":"scheduled",'
            f'"started_at":"{moment}","scheduled_duration":{self.plan.minutes},'
            f'"is_recorded":{_truth(self.plan.is_recorded)},"is_transcribed":{_truth(self.plan.is_transcribed)},'
            f'"e2ee":false,"consent":{{"capture":"{self.plan.capture}"}}'
        )
        return self._batch(STARTED, moment, data, f'"subject":"{self.label}",')

    def ended(self) -> Batch:
        """The meeting ends."""
        start, moment = self.text_at(0) + "00Z", self.text_at(self.minute) + "00Z"
        data = (
            f'{self._where},"title":{self.plan.title},"started_at":"{start}","ended_at":"{moment}",'
            f'"peak_participant_count":{len(self.plan.visits)},"end_reason":"host_ended"'
        )
        return self._batch(ENDED, moment, data, f'"subject":"{self.label}",')

    def joined(self, visit: Visit) -> Iterator[Batch]:
        """Somebody joins."""
        moment = self.text_at(self.minute) + visit.second
        address = f'"email":"{visit.email}",' if visit.email else ""
        if visit.channel == "dial_in":
            address += f'"phone":"{visit.person.phone}",'
        label = f',"device_label":{quoted(self.rng.choice(DEVICE_LABELS))}'
        data = (
            f'{visit.head},"display_name":{visit.person.name},{address}'
            f'"role":"{"host" if visit.is_host else "attendee"}","is_host":{_truth(visit.is_host)},'
            f'"view_only":false}},{client_of(self.rng, label)},"network":{{"network_type":"wifi",'
            f'"ip":"198.51.100.{self.rng.randrange(1, 255)}","data_center":"fra"}},'
            f'"join_latency":{self.rng.randrange(200, 4000)},"camera_on":true,"microphone_on":false,'
            f"{self._consent(visit)}"
        )
        yield self._batch(JOINED, moment, data, f'"subject":"join_{visit.key}",')

    def left(self, visit: Visit) -> Iterator[Batch]:
        """Somebody leaves."""
        stay = (self.minute - visit.arrives) * 60
        yield self._by(
            LEFT,
            visit,
            f'"leave_reason":"{self.rng.choice(_REASONS)}","presence_duration":{stay},'
            f'"talk_time":{self.rng.randrange(900_000)}',
        )

    def quality(self, visits: Sequence[Visit]) -> Iterator[Batch]:
        """One quality record for each visit; a few platforms add how loud it was."""
        seen = [visit for visit in visits if visit.channel in ("app", "room_device")]
        heard = [visit for visit in visits if visit.channel not in ("app", "room_device")]
        pools = self._pools
        if seen:
            yield Batch(QUALITY, self._quality(seen, pools.cloud_sound, pools.cloud_picture), COFFERDAM)
        if heard and self.rng.random() < 0.1:
            level = [f'"audio_level":-{loud}.5' for loud in range(16)]
            yield Batch(QUALITY_LEVEL, self._quality(heard, pools.cloud_sound, [], level), COFFERDAM)
            for visit in heard:
                at = self._moment(visit)
                self.note(QUALITY_LEVEL, at, at - (self.minute - self._before) * 60_000, at, visit)
        elif heard:
            yield Batch(QUALITY_SOUND, self._quality(heard, pools.cloud_sound, []), COFFERDAM)

    def _quality(
        self, visits: Sequence[Visit], sounds: list[str], pictures: list[str], levels: Sequence[str] = ()
    ) -> list[bytes]:
        """Most records are made here, so it only puts prepared pieces together."""
        before, now = self.text_at(self._before), self.text_at(self.minute)
        machines, bits, key = self._pools.cloud_machine, self.rng.getrandbits, self.plan.key
        lines = []
        for number, visit in enumerate(visits, start=self._sequence + 1):
            choice = bits(36)
            moment = now + visit.second
            streams, loud = sounds[choice & 4095], ""
            if pictures:
                streams = f"{streams},{pictures[choice >> 24]}"
            elif levels:
                loud = f',{levels[choice >> 32]},"dominant_speaker":"join_{visit.key}"'
            lines.append(
                (
                    f'{{"specversion":"1.0","id":"{key}-{number:06x}","source":"{EMITTER}",'
                    f'"type":"io.cofferdam.meeting.quality.v1","time":"{moment}",'
                    f'"datacontenttype":"application/json","data":{{{visit.head}}},'
                    f'"started_at":"{before}{visit.second}","ended_at":"{moment}",'
                    f'{machines[choice >> 12 & 4095]},"streams":[{streams}]{loud}}}}}'
                ).encode()
            )
        self._sequence += len(visits)
        return lines

    def extras(self, visits: Sequence[Visit]) -> Iterator[Batch]:
        """What people do in this minute."""
        rng, crowd = self.rng, len(visits)
        for chance, make in (
            (0.03 * crowd, self._chat),
            (0.02 * crowd, self._reaction),
            (0.03 * crowd, self._feature),
            (0.03 * crowd, self._log),
            (0.0005 * crowd, self._crash),
            (0.01, self._file),
            (0.01, self._poll),
            (0.02, self._whiteboard),
        ):
            if rng.random() < min(chance, 0.9):
                yield make(rng.choice(visits))
        if self.plan.is_recorded:
            yield from self._recorded(rng.choice(visits))
        if self.plan.is_transcribed:
            yield from self._transcribed(rng.choice(visits))

    def _recorded(self, visit: Visit) -> Iterator[Batch]:
        yield self._media(AUDIO, visit, '"codec":"opus","sample_rate":48000,"channels":1')
        if self.rng.random() < 0.3:
            yield self._media(
                VIDEO, visit, '"codec":"vp9","frame_rate":24,"frame_width":1280,"frame_height":720'
            )
        if self.rng.random() < 0.2:
            title = quoted(self.rng.choice(FILE_NAMES))
            yield self._media(SCREEN, visit, f'"codec":"h264","surface":"window","window_title":{title}')

    def _media(self, expect: Expect, visit: Visit, more: str) -> Batch:
        size = self.rng.randrange(200, 600)
        return self._by(
            expect,
            visit,
            f'{self._span(visit)},{more},"stream_id":"s-{visit.key}","sequence":{self.minute},"duration":20000,'
            f'"size":{size},{self._consent(visit)},"data":"{self.cast.media(self.rng, size)}"',
            has_span=True,
            is_objected=True,
        )

    def _transcribed(self, visit: Visit) -> Iterator[Batch]:
        said = self._saying()
        base = f'{self._span(visit)},"segment_id":"g-{letters(self.rng, 10)}","text":{said},"is_final":true'
        lineage = f'"derived_from":["audio"],{self._consent(visit)}'
        more = f'"speaker_name":{visit.person.name},"confidence":0.9{self.rng.randrange(10)}'
        yield self._spoken(TRANSCRIPT, visit, f"{base},{more},{lineage}")
        choice = self.rng.random()
        if choice < 0.3:
            yield self._spoken(CAPTION, visit, f'{base},"language":"en",{lineage}')
        elif choice < 0.4:
            other = f'"translation":{self._saying()},"target_language":"fr"'
            yield self._spoken(TRANSLATION, visit, f"{base},{other},{lineage}")
        elif choice < 0.5:
            yield self._vector(EMBEDDING, "text", "transcript", visit)
        elif choice < 0.52:
            yield self._vector(VOICEPRINT, "voice", "audio", visit)

    def _spoken(self, expect: Expect, visit: Visit, data: str) -> Batch:
        return self._by(expect, visit, data, has_span=True, is_objected=True)

    def _vector(self, expect: Expect, of: str, root: str, visit: Visit) -> Batch:
        vector = ",".join(f"{self.rng.random():.5f}" for _ in range(32))
        return self._spoken(
            expect,
            visit,
            f'{self._span(visit)},"vector_of":"{of}","vector":[{vector}],"dimensions":32,'
            f'"model":"sentence-v2","derived_from":["{root}"],{self._consent(visit)}',
        )

    def _saying(self) -> str:
        return self.rng.choice(self.cast.sayings)

    def _chat(self, visit: Visit) -> Batch:
        head = f'"message_id":"c-{letters(self.rng, 12)}","text":{self._saying()},{self._consent(visit)}'
        if self.rng.random() < 0.8:
            return self._by(CHAT, visit, f'{head},"visibility":"everyone"', is_objected=True)
        to = self.rng.choice(self.present).person
        recipient = f'"recipient":{{"user_id":"{to.user_id}","display_name":{to.name}}}'
        direct = f'{head},"visibility":"direct",{recipient}'
        return self._by(DIRECT_CHAT, visit, direct, is_objected=True)

    def _reaction(self, visit: Visit) -> Batch:
        return self._by(REACTION, visit, f'"reaction":"{self.rng.choice("👍👏🎉❤😂")}","is_removal":false')

    def _feature(self, visit: Visit) -> Batch:
        used = (
            f'"action":"opened","entry_point":"toolbar","use_count":{self.rng.randrange(1, 9)},"result":"ok"'
        )
        if self.rng.random() < 0.1:
            more = f'"feature":"search",{used},"search_text":{self._saying()}'
            return self._by(SEARCH, visit, f"{more},{client_of(self.rng)}")
        feature = self.rng.choice(_FEATURES)
        return self._by(FEATURE, visit, f'"feature":"{feature}",{used},{client_of(self.rng)}')

    def _log(self, visit: Visit) -> Batch:
        return self._by(LOG, visit, log_line(self.rng, visit.person))

    def _crash(self, visit: Visit) -> Batch:
        frames = ",".join(f'"frame {depth} in render({visit.person.user_id})"' for depth in range(6))
        return self._by(
            CRASH,
            visit,
            f'"signal":"SIGSEGV","exception_class":"RenderThreadError","module":"media_engine.core",'
            f'"offset":{self.rng.randrange(10**7)},"uptime":{self.rng.randrange(10**7)},"in_foreground":true,'
            f'"diagnostics":"optional","stack":[{frames}],{client_of(self.rng)}',
        )

    def _file(self, visit: Visit) -> Batch:
        return self._by(
            FILE,
            visit,
            f'"file_id":"f-{letters(self.rng, 10)}","name":{quoted(self.rng.choice(FILE_NAMES))},'
            f'"download_url":"https://files.example/{letters(self.rng, 24)}","download_token":"'
            f'{letters(self.rng, 24)}","size":{self.rng.randrange(10**7)},"media_type":"document"',
        )

    def _poll(self, visit: Visit) -> Batch:
        poll = f'"poll_id":"p-{self.plan.key}"'
        if self.rng.random() < 0.5:
            questions = f'"title":{self.plan.title},"questions":[{{"text":{self._saying()}}}]'
            return self._by(POLL_OPENED, visit, f"{poll},{questions}")
        return self._by(POLL_ANSWERED, visit, f'{poll},"answers":[{{"question":1,"answer":"yes, but"}}]')

    def _whiteboard(self, visit: Visit) -> Batch:
        self._boards += 1
        strokes = ",".join(f"[{self.rng.randrange(999)},{self.rng.randrange(999)}]" for _ in range(12))
        return self._by(
            WHITEBOARD,
            visit,
            f'{self._span(visit)},"board_id":"b-{self.plan.key}","revision":{self._boards},"strokes":[{strokes}],'
            f'"notes":[{self._saying()}]',
            has_span=True,
        )

    def afterwards(self) -> Iterator[Batch]:
        """What is made when the meeting is over."""
        if self.plan.is_transcribed:
            start, moment = self.text_at(0) + "00Z", self.text_at(self.minute) + "00Z"
            points = ",".join(self._saying() for _ in range(3))
            data = (
                f'{self._where},"started_at":"{start}","ended_at":"{moment}","document_id":"d-{self.plan.key}",'
                f'"title":{self.plan.title},"text":{self._saying()},"action_items":[{points}],'
                f'"model":"summary-v3","processing_duration":5200,"derived_from":["audio","chat"]'
            )
            about = f'"subject":"{self.label}",'
            yield self._batch(SUMMARY, moment, data, about, start=self.start_ms)


def between_meetings(rng: random.Random, person: Person, number: int, milliseconds: int) -> Batch:
    """A diagnostics log line of a client that is in no meeting.

    Args:
        rng: Where all choices come from.
        person: Whose client.
        number: A number that no other such record has.
        milliseconds: Its time, ms since 1970 UTC.
    """
    who = f'"tenant_id":"{person.tenant}","participant":{{"user_id":"{person.user_id}"}}'
    data = f"{who},{log_line(rng, person)}"
    line = record(LOG.event_type, f"idle-{number:010x}", clock_at(milliseconds), data)
    return Batch(LOG, [line], COFFERDAM)


def _truth(value: bool) -> str:
    return "true" if value else "false"
