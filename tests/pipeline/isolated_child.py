"""Runs a command of Cofferdam in a process that sees no network, and tells what it tried; for test_isolation.

Arguments: a file to write what was tried into, then the command's own. All that is logged, at any level, goes
to standard error.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Watch:
    """Refuses the network and remembers every file that is opened for writing."""

    def __init__(self) -> None:
        self.network: list[str] = []
        self.written: set[str] = set()

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES:
            self.written.add(os.fspath(arguments[0]) if not isinstance(arguments[0], int) else "")
        if event in ("os.rename", "os.link"):
            self.written.add(os.fspath(arguments[1]))
        if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
            self._refuse(event)
        if (
            event == "socket.connect"
            and arguments[0].family != socket.AF_UNIX
            and not _is_local(arguments[1])
        ):
            self._refuse(f"{event} {arguments[1]}")

    def _refuse(self, what: str) -> None:
        self.network.append(what)
        raise OSError("there is no network here")


def _is_local(address: Any) -> bool:
    host = str(address[0])
    return host.startswith("127.") or host == "::1"


def main(report: str, command: list[str]) -> None:
    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr, force=True)
    tempfile.gettempdir()  # tries out where it may write, once
    watch = Watch()
    sys.addaudithook(watch.audit)
    from pipelines.cli import cli

    code = 0
    try:
        cli.main(command, standalone_mode=True)
    except SystemExit as ended:
        code = int(ended.code or 0)
    findings = {"network": watch.network, "written": sorted(watch.written)}
    Path(report).write_text(json.dumps(findings))
    sys.exit(code)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
