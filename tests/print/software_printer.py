"""A real printer in software: `ippeveprinter` of CUPS, for as long as a test."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from relay.config import Printer

PROGRAMS: Final = ("ippeveprinter", "dbus-daemon")
PRINTS: Final = "cat >/dev/null <$1"
"""What is done with each file: it is read."""
OUT_OF_PAPER: Final = """
echo 'STATE: +media-empty-error' >&2
echo 'ATTR: job-impressions=4 job-impressions-completed=1' >&2
until [ -e {spool}/paper ] || ! kill -0 $PPID 2>/dev/null; do sleep 0.05; done
echo 'STATE: -media-empty-error' >&2
echo 'ATTR: job-impressions-completed=4' >&2
"""
"""Prints a page, and the others once `SoftwarePrinter.bring_paper` was called."""
SEES_OPTIONS: Final = "env | grep ^IPP_ >{spool}/options"
BREAKS: Final = "exit 1"
WAIT: Final = 10.0
"""Seconds for what takes a fraction of one."""

_BUS: Final = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/>
  </policy>
</busconfig>
"""


@contextmanager
def running_bus() -> Iterator[str]:
    """The address of a message bus of our own: the printer does not start without one, though nobody is on it.

    The printer would look there for avahi, to make itself known on the network, which we do not let it.
    """
    for program in PROGRAMS:
        if shutil.which(program) is None and not Path("/usr/sbin", program).exists():
            pytest.fail(f"{program} is missing: `./dev test` installs it, or: apt-get install cups-ipp-utils dbus")
    folder = Path(tempfile.mkdtemp(prefix="relay-bus-"))  # a socket's path must stay under 108 bytes
    config = folder / "bus.conf"
    config.write_text(_BUS.format(socket=folder / "socket"))
    with (folder / "log").open("wb") as log:
        bus = subprocess.Popen(
            ["dbus-daemon", f"--config-file={config}", "--nofork", "--nopidfile"],
            stdout=log,
            stderr=log,
        )
    try:
        _wait_for((folder / "socket").exists)
        yield f"unix:path={folder / 'socket'}"
    finally:
        bus.kill()
        bus.wait()
        shutil.rmtree(folder)


@dataclass
class SoftwarePrinter:
    """A printer that does with each file what its script says, and keeps it in `spool`."""

    bus: str
    spool: Path
    script: str = PRINTS
    formats: str = "application/pdf"
    options: Sequence[str] = ("-2",)
    port: int = 0
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def printer(self) -> Printer:
        """The printer as it stands in the settings."""
        return Printer(name="Office", uri=f"ipp://localhost:{self.port}/ipp/print")

    @property
    def encrypted(self) -> Printer:
        """The same over TLS, with a certificate that it signed itself."""
        return Printer(name="Office", uri=f"ipps://localhost:{self.port}/ipp/print")

    def printed(self) -> list[bytes]:
        """The files that it got, in their order."""
        return [path.read_bytes() for path in sorted(self.spool.glob("*.pdf"))]

    def bring_paper(self) -> None:
        """Let OUT_OF_PAPER go on."""
        (self.spool / "paper").touch()

    def empty_the_tray(self) -> None:
        """Take all paper out, on the printer's own page."""
        with urllib.request.urlopen(f"http://localhost:{self.port}/media?level1=0&level3=0", timeout=WAIT):
            pass

    def start(self) -> None:
        """Switch it on, at the same address as before; it counts its jobs from 1."""
        command = self.spool / "command"
        command.write_text(f"#!/bin/sh\n{self.script.format(spool=self.spool)}\n")
        command.chmod(0o700)
        if not self.port:
            with socket.create_server(("127.0.0.1", 0)) as free:
                self.port = free.getsockname()[1]
        with (self.spool / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    shutil.which("ippeveprinter") or "/usr/sbin/ippeveprinter",
                    *("-r", "off", "-n", "localhost", "-p", str(self.port), "-vvv", "-f", self.formats),
                    *("-k", "-d", str(self.spool), "-K", str(self.spool), "-c", str(command), *self.options),
                    "Office",
                ],
                env=os.environ | {"DBUS_SYSTEM_BUS_ADDRESS": self.bus, "HOME": str(self.spool)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        _wait_for(self._listens)

    def _listens(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            pytest.fail(f"ippeveprinter ended: {(self.spool / 'log').read_text()}", pytrace=False)
        with socket.socket() as tried:
            return tried.connect_ex(("127.0.0.1", self.port)) == 0

    def switch_off(self) -> None:
        """Pull the plug."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def _wait_for(happens: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT
    while not happens():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture(scope="module")
def message_bus() -> Iterator[str]:
    """The address of a bus on which printers may be started."""
    with running_bus() as address:
        yield address


@pytest.fixture
def software(message_bus: str, tmp_path: Path) -> Iterator[SoftwarePrinter]:
    """A printer that is not switched on yet."""
    spool = tmp_path / "spool"
    spool.mkdir()
    printer = SoftwarePrinter(message_bus, spool)
    yield printer
    printer.switch_off()
