"""Does what a history asks for, each deed in a forked process that may be killed; run by test_histories.

Reads a line of JSON for each deed from standard input, and writes one with how it ended.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from pipelines.run_erase import EraseOptions, run_erase
from pipelines.run_reprocess import ReprocessRequest, reprocess_store
from pipelines.run_rotation import RotationRequest, rotate_all
from tests.pipeline.forked import forked, load_once
from tests.pipeline.kill_worlds import at
from tests.pipeline.support import ingest
from transforms import key_rotation

Asked = dict[str, Any]


def _ingest(asked: Asked) -> Any:
    files = [Path(file) for file in asked["files"]]
    folder, keys = Path(asked["folder"]), Path(asked["keys"])
    return ingest(files, folder / "store", keys, received=date.fromisoformat(asked["day"]))


def _release(asked: Asked) -> Any:
    world = at(Path(asked["folder"]), Path(asked["keys"]))
    return world.release(as_of=asked["as_of"], keys=Path(asked["keys"]) / "release")


def _erase(asked: Asked) -> Any:
    folder = Path(asked["folder"])
    options = EraseOptions(
        store=str(folder / "store"),
        keys=Path(asked["keys"]) / "release",
        consents=(folder / "consents",),
        registry=folder / "registry",
        as_of=asked["as_of"],
        subjects=tuple(asked["subjects"]),
        all_due=asked["due"],
        max_share=100.0,
        allow_test_keys=True,
    )
    return run_erase(options, show_progress=False)


def _reprocess(asked: Asked) -> Any:
    store, side = str(Path(asked["folder"]) / "store"), Path(asked["keys"]) / "release"
    contracts = (Path(asked["contracts"]),)
    return reprocess_store(ReprocessRequest(store, side, contracts, as_of=asked["as_of"], tenants=("t1",)))


def _rotate(asked: Asked) -> Any:
    key_rotation.COMMIT_FILES = 1  # type: ignore[misc]
    sides = (Path(asked["keys"]) / "release", (Path(asked["older"]) / "release",))
    return rotate_all(RotationRequest((Path(asked["folder"]) / "store",), *sides), show_progress=False)


DEEDS: Final[Mapping[str, Callable[[Asked], Any]]] = MappingProxyType(
    {"ingest": _ingest, "release": _release, "erase": _erase, "rotate": _rotate, "reprocess": _reprocess}
)


def main() -> None:
    """Serve until the input ends."""
    load_once()
    for line in sys.stdin:
        asked = json.loads(line)
        deed = DEEDS[asked["deed"]]
        ended = forked(lambda deed=deed, asked=asked: deed(asked), Path(asked["folder"]), asked["at"])  # type: ignore[misc]
        print(json.dumps(ended._asdict()), flush=True)


if __name__ == "__main__":
    main()
