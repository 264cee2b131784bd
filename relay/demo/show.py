"""The demo to click through: it prints where everything is and runs until it is stopped."""

from __future__ import annotations

import asyncio
import signal
import tempfile
from pathlib import Path

from rich.console import Console

from relay.demo.setting import USUAL_PORTS, playing


async def run() -> None:
    """Run the demo in a throw-away folder until Ctrl-C."""
    out = Console(highlight=False, soft_wrap=True)
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    with tempfile.TemporaryDirectory(prefix="relay-demo-") as folder:
        async with playing(Path(folder), USUAL_PORTS) as setting:
            out.print("The demo runs. Everything in it is invented, and it is gone when you stop it with Ctrl-C.\n")
            out.print(f"  Write a letter      {setting.desk}")
            out.print(f"  The caught mails    {setting.mails}")
            out.print(f"  The volunteers      {setting.office}\n")
            for login, password in setting.passwords.items():
                out.print(f"  log in as {login:<9} {password}")
            out.print(f"\n  The installation    {folder}")
            await stop.wait()
            out.print("Stopping.")
