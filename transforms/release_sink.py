"""The end of a release as Beam sees it: look again, find what may not go any more, commit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam

from schemas.tables import OPENINGS
from transforms.commit_release import Finished, Sighting, commit_release, look_again
from transforms.consent_intake import IntakeCounts, total_intake
from transforms.decide_telemetry import TelemetryCounts, total_telemetry
from transforms.faults import value_free
from transforms.gather_meetings import AGAIN_IDS
from transforms.keys import ReleaseKeys
from transforms.manifest_seal import seal_of
from transforms.manifests import FileRecord
from transforms.meeting_joins import concat
from transforms.release_counts import ReleaseCounts, total_counts
from transforms.release_openings import Openings, total_openings
from transforms.release_rules import ReleaseRules
from transforms.release_settings import ReleaseSettings
from validation.release_suite import WrittenRelease


@dataclass
class LookAgain(beam.PTransform[Any, Any]):
    """Look at records and registry again when everything else is done."""

    settings: ReleaseSettings
    registry_hash: str
    done: Sequence[Any] = field(repr=False)

    def expand(self, start: Any) -> Any:
        """Anything -> Sighting."""
        done = [beam.pvalue.AsList(each) for each in self.done]
        return start | "Look" >> beam.Map(_look, self.settings, self.registry_hash, *done)


def _look(_: object, settings: ReleaseSettings, registry_hash: str, *done: object) -> Sighting:
    with value_free("look again"):
        return look_again(settings, registry_hash)


def when_changed(sighting: Any, read: Any) -> Any:
    """Let elements through only if the records are no longer those that were read first."""
    return beam.FlatMap(_if_changed, beam.pvalue.AsSingleton(sighting), beam.pvalue.AsSingleton(read))


def _if_changed(element: Any, sighting: Sighting, read: IntakeCounts) -> Iterator[Any]:
    # What cannot be read is not decided again: there is nothing to decide from, and nothing will go.
    if sighting.fault is None and sighting.records != read.fingerprint:
        yield element


def when_unchanged(sighting: Any, read: Any) -> Any:
    """Let elements through only if the records still are those that were read first."""
    return beam.FlatMap(_if_unchanged, beam.pvalue.AsSingleton(sighting), beam.pvalue.AsSingleton(read))


def _if_unchanged(element: Any, sighting: Sighting, read: IntakeCounts) -> Iterator[Any]:
    if sighting.records == read.fingerprint:
        yield element


@dataclass
class LostTasks(beam.PTransform[Any, Any]):
    """What was decided to go and, decided again, may not."""

    def expand(self, ids: tuple[Any, Any]) -> Any:
        """By meeting: packed ids of what may go, twice -> number of items and purposes."""
        first, second = ids
        return (
            {"first": first, "second": second}
            | "ByMeeting" >> beam.CoGroupByKey()
            | "Compare" >> beam.Map(_lost)
            | "Sum" >> beam.CombineGlobally(sum)
        )


def _lost(keyed: tuple[str, Mapping[str, Iterable[bytes]]]) -> int:
    with value_free("compare decisions"):
        return len(_pairs(keyed[1]["first"]) - _pairs(keyed[1]["second"]))


def _pairs(tables: Iterable[bytes]) -> set[tuple[str, str]]:
    ids = concat(tables, AGAIN_IDS)
    return set(zip(ids.column("item_id").to_pylist(), ids.column("purpose").to_pylist(), strict=True))


@dataclass
class CommitRelease(beam.PTransform[Any, Any]):
    """Commit: the last step, on one worker, with everything that the others finished."""

    settings: ReleaseSettings
    rules: ReleaseRules = field(repr=False)
    keys: ReleaseKeys = field(repr=False)
    logs: tuple[Any, Any] = field(repr=False)
    released: Any = field(repr=False)
    written: Any = field(repr=False)
    counts: Any = field(repr=False)
    openings: Any = field(repr=False)
    unplaced: Any = field(repr=False)
    read: Any = field(repr=False)
    sighting: Any = field(repr=False)
    sink_counts: Any = field(repr=False)
    lost: Any = field(repr=False)
    telemetry: Any = field(repr=False)
    telemetry_counts: Any = field(repr=False)

    def expand(self, pipeline: Any) -> Any:
        """Nothing -> ledger."""
        names = (
            "released",
            "written",
            "counts",
            "openings",
            "unplaced",
            "read",
            "sighting",
            "sink_counts",
            "lost",
        )
        lists = {
            name: beam.pvalue.AsList(getattr(self, name))
            for name in (*names, "telemetry", "telemetry_counts")
        }
        first, second = self.logs
        return (
            pipeline
            | "Once" >> beam.Create([self.settings], reshuffle=False)
            | "Commit"
            >> beam.Map(
                _commit,
                self.rules,
                self.keys,
                first=beam.pvalue.AsList(first),
                second=beam.pvalue.AsList(second),
                **lists,
            )
        )


def _commit(
    settings: ReleaseSettings,
    rules: ReleaseRules,
    keys: ReleaseKeys,
    first: Sequence[FileRecord],
    second: Sequence[FileRecord],
    released: Sequence[FileRecord],
    written: Sequence[WrittenRelease],
    counts: Sequence[ReleaseCounts],
    openings: Sequence[Openings],
    unplaced: Sequence[int],
    read: Sequence[IntakeCounts],
    sighting: Sequence[Sighting],
    sink_counts: Sequence[ReleaseCounts],
    lost: Sequence[int],
    telemetry: Sequence[FileRecord],
    telemetry_counts: Sequence[TelemetryCounts],
) -> dict[str, Any]:
    with value_free("commit"):
        finished = Finished(
            logs=_sorted(first, second, [record for record in released if record.table == OPENINGS]),
            released=_sorted([record for record in released if record.table != OPENINGS]),
            written=written[0],
            counts=total_counts(counts),
            openings=total_openings(openings),
            unplaced=sum(unplaced),
            read=total_intake(read),
            sighting=sighting[0],
            sink_counts=total_counts(sink_counts),
            lost=sum(lost),
            telemetry=_sorted(telemetry),
            telemetry_counts=total_telemetry(telemetry_counts),
        )
        return commit_release(settings, rules, seal_of(keys), finished)


def _sorted(*records: Sequence[FileRecord]) -> tuple[FileRecord, ...]:
    together = (record for group in records for record in group)
    return tuple(sorted(together, key=lambda record: record.path))
