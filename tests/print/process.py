"""A relay that renders: ``python -m tests.print.process waits|interrupted``.

It renders a letter and says how many pages it has. Then it waits to be killed; or all its processes get the signal of
Ctrl-C, and it renders the letter again.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from print.rendering import RenderingPool
from tests.print.letters import letter


async def main(what: str) -> None:
    """Render, and wait or be interrupted."""
    pool = RenderingPool()
    print(len(await pool.preview(letter())), flush=True)
    if what == "waits":
        await asyncio.Event().wait()
    signal.signal(signal.SIGINT, lambda *_: None)
    os.killpg(0, signal.SIGINT)
    print(len(await pool.preview(letter())), flush=True)
    await pool.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
