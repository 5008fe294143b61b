"""Single CloudEvents as JSON text: the envelope, what a client says of itself, a log line."""

from __future__ import annotations

import random

from pipelines.generator_people import Person, quoted

EMITTER = "/platform/example/meetings"

_COMPONENTS = ("media.audio.encoder", "net.ice", "ui.roster", "media.video.capture", "sync.store")
_LEVELS = ("debug", "info", "info", "warning", "error")
_PLATFORMS = ("windows", "macos", "linux", "ios", "android", "web")


def record(event_type: str, event_id: str, moment: str, data: str, more: str = "") -> bytes:
    """A CloudEvent in structured JSON mode (CloudEvents 1.0, JSON format 3).

    Args:
        event_type: Its type.
        event_id: Its id, unique for the emitter.
        moment: Its time as RFC 3339 text.
        data: The data's members as JSON text.
        more: Further context attributes.
    """
    return (
        f'{{"specversion":"1.0","id":"{event_id}","source":"{EMITTER}","type":"{event_type}","time":"{moment}",'
        f'{more}"datacontenttype":"application/json","data":{{{data}}}}}'
    ).encode()


def client_of(rng: random.Random, more: str = "") -> str:
    """What a client says about itself, as a JSON member."""
    return (
        f'"client":{{"platform":"{rng.choice(_PLATFORMS)}","version":"4.{rng.randrange(30)}.{rng.randrange(9)}",'
        f'"os_version":"{rng.randrange(10, 18)}.{rng.randrange(9)}","architecture":"arm64"{more}}}'
    )


def log_line(rng: random.Random, person: Person) -> str:
    """The data of a diagnostics log line: its message quotes somebody, as such messages do."""
    return (
        f'"level":"{rng.choice(_LEVELS)}","component":"{rng.choice(_COMPONENTS)}","code":"NET-{rng.randrange(900)}",'
        f'"message":{quoted(f"retrying for {person.email} after timeout")},"diagnostics":"required",'
        f'"uptime":{rng.randrange(10**7)},{client_of(rng)}'
    )
