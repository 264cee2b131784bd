"""Forks the children that read scans, from a process that has loaded their libraries: that takes longer than to read.

Run as `python -m benchmarks.broken.nursery SOCKET`, with the number of an open socket. Each message holds the limits
and brings three files: the scan, where the answers go, and where is told who the child is and how it ended.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import sys
from typing import Final

from scanner import child

BORN: Final = struct.Struct("i")
"""The number of the process."""
ENDED: Final = struct.Struct("iq")
"""Its exit code, negative for a signal, and the most memory that it had, in kB."""
LONGEST: Final = 10_000


def main() -> None:
    """Fork until nobody asks any more."""
    orders = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        limits, files, _, _ = socket.recv_fds(orders, LONGEST, 3)
        if not limits:
            return
        if os.fork() == 0:
            orders.close()
            _keep(limits.decode(), *files)
        for file in files:
            os.close(file)


def _keep(limits: str, scan: int, answers: int, told: int) -> None:
    """Wait for one child, and tell how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        _read(limits, scan, answers)
    for file in (scan, answers):
        os.close(file)
    os.write(told, BORN.pack(pid))
    _, status, usage = os.wait4(pid, 0)
    os.write(told, ENDED.pack(os.waitstatus_to_exitcode(status), usage.ru_maxrss))
    os._exit(0)


def _read(limits: str, scan: int, answers: int) -> None:
    """What `python -m scanner.child` does."""
    for file, place in ((scan, 0), (answers, 1), (os.open(os.devnull, os.O_WRONLY), 2)):
        os.dup2(file, place)
    os.closerange(3, 100)  # what belongs to the others
    sys.stdin = os.fdopen(0)  # the one that is there knows of the old file whether it can be read from the start
    sys.argv = ["scanner.child", limits]
    status = 1
    try:
        status = child.main()
    finally:
        os._exit(status)


if __name__ == "__main__":
    main()
