"""Prepared measurements: pieces of JSON from which quality records are put together.

Making numbers and formatting them is what costs time, so a few thousand plausible pieces are made once and
combined. Numbers of real quality records repeat as much as these do: they are whole kbps, ms and percent.
"""

from __future__ import annotations

import random

POOL = 4096
"""Pieces of each sort; a power of two, so that twelve random bits choose one."""

_QUALITIES = ("good", "good", "good", "fair", "poor", "bad")
_FRAMES = ((320, 180), (640, 360), (1280, 720), (1920, 1080))


class Pools:
    """All pieces.

    Args:
        seed: Where all numbers come from.
    """

    def __init__(self, seed: int) -> None:
        rng = random.Random(f"{seed}/pools")  # noqa: S311 - invented numbers must repeat, not surprise
        self.zoom_sound = [_zoom_sound(rng) for _ in range(POOL)]
        self.zoom_picture = [_zoom_picture(rng) for _ in range(POOL)]
        self.cloud_sound = [_cloud_sound(rng) for _ in range(POOL)]
        self.cloud_picture = [_cloud_picture(rng) for _ in range(POOL)]
        self.cloud_machine = [_cloud_machine(rng) for _ in range(POOL)]
        self._summaries = [
            _zoom_summary(rng, sort) for sort in ("audio_input", "video_output") for _ in range(99)
        ]

    def zoom_summary(self, rng: random.Random) -> tuple[str, str, str]:
        """Three entries of a quality summary."""
        share = rng.randrange(1, 60)
        usage = (
            f'{{"type":"cpu_usage","details":{{"zoom_min_cpu_usage":"{share // 3}%",'
            f'"zoom_avg_cpu_usage":"{share}%","zoom_max_cpu_usage":"{share + 9}%",'
            f'"system_max_cpu_usage":"{share + 30}%"}}}}'
        )
        return rng.choice(self._summaries), rng.choice(self._summaries), usage


def _zoom_sound(rng: random.Random) -> str:
    way = rng.choice(("audio_input", "audio_output"))
    return (
        f'"type":"{way}","details":{{"bitrate":"{rng.randrange(20, 90)} kbps",'
        f'"latency":"{int(rng.lognormvariate(4, 0.6))} ms","jitter":"{int(rng.lognormvariate(1.6, 0.8))} ms",'
        f'"avg_loss":"{rng.randrange(30) / 10}%","max_loss":"{rng.randrange(90) / 10}%",'
        f'"quality":"{rng.choice(_QUALITIES)}","quality_score":"{rng.randrange(100, 460) / 100}"}}'
    )


def _zoom_picture(rng: random.Random) -> str:
    if rng.random() < 0.5:
        share = rng.randrange(1, 60)
        return (
            f'"type":"cpu_usage","details":{{"zoom_min_cpu_usage":"{share // 2}%",'
            f'"zoom_avg_cpu_usage":"{share}%","zoom_max_cpu_usage":"{share + 8}%",'
            f'"system_max_cpu_usage":"{min(share + rng.randrange(40), 100)}%"}}'
        )
    width, height = rng.choice(_FRAMES)
    return (
        f'"type":"{rng.choice(("video_input", "video_output", "as_input", "as_output"))}","details":{{'
        f'"bitrate":"{rng.randrange(150, 2400)} kbps","latency":"{int(rng.lognormvariate(4, 0.6))} ms",'
        f'"jitter":"{int(rng.lognormvariate(2, 0.8))} ms","avg_loss":"{rng.randrange(30) / 10}%",'
        f'"max_loss":"{rng.randrange(90) / 10}%","resolution":"{width}*{height}",'
        f'"frame_rate":"{rng.randrange(5, 31)} fps"}}'
    )


def _zoom_summary(rng: random.Random, sort: str) -> str:
    low, more, most = (rng.randrange(1, 40) for _ in range(3))
    parts = ",".join(
        f'"min_{name}":"{low}{unit}","avg_{name}":"{low + more}{unit}",'
        f'"max_{name}":"{low + more + most}{unit}"'
        for name, unit in (("bitrate", " kbps"), ("latency", " ms"), ("jitter", " ms"))
    )
    loss = f'"min_loss":"0.0%","avg_loss":"0.1%","max_loss":"{low / 10}%"'
    return f'{{"type":"{sort}","details":{{{parts},{loss}}}}}'


def _cloud_sound(rng: random.Random) -> str:
    return (
        f'{{"media":"audio","direction":"{rng.choice(("send", "receive"))}","codec":"opus",'
        f'"bitrate":{rng.randrange(20, 90)},"packet_loss":{rng.randrange(50) / 10},'
        f'"jitter":{int(rng.lognormvariate(1.6, 0.8))},"latency":{int(rng.lognormvariate(4, 0.6))},'
        f'"packets":{rng.randrange(900, 3000)}}}'
    )


def _cloud_picture(rng: random.Random) -> str:
    width, height = rng.choice(_FRAMES)
    return (
        f'{{"media":"video","direction":"{rng.choice(("send", "receive"))}",'
        f'"codec":"{rng.choice(("vp8", "vp9", "h264", "av1"))}","bitrate":{rng.randrange(150, 2400)},'
        f'"packet_loss":{rng.randrange(50) / 10},"jitter":{int(rng.lognormvariate(2, 0.8))},'
        f'"frame_rate":{rng.randrange(5, 31)},"frame_width":{width},"frame_height":{height}}}'
    )


def _cloud_machine(rng: random.Random) -> str:
    return (
        f'"network":{{"network_type":"{rng.choice(("wired", "wifi", "wifi", "cellular", "vpn"))}",'
        f'"transport":"{rng.choice(("udp", "udp", "tcp", "quic"))}"}},'
        f'"round_trip_time":{int(rng.lognormvariate(4, 0.6))},"cpu_usage":{rng.randrange(1, 95)},'
        f'"memory_usage":{rng.randrange(150, 1900)}'
    )
