"""`relay retention run`."""

from __future__ import annotations

import datetime

from relay.config import Retention
from relay.store import tables
from tests.cli.conftest import Command, Done
from tests.workplaces import House


async def test_run_destroys_what_is_due(house: House, command: Command) -> None:
    assert await command("retention", "run") == Done(0, "Nothing is due.\n", "")
    # The command goes by the time of day.
    house.clock.now = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=Retention().letters + 1)
    sent = await house.posted()
    done = await command("retention", "run", "--json")
    assert done.code == 0
    assert done.objects == [
        {
            "letters": 1,
            "addresses": 0,
            "replies": 0,
            "pages": 0,
            "scans": 0,
            "mails": 0,
            "batches": 1,
            "records": 1,
            "files": 1,
        }
    ]
    assert (await house.row(tables.letters, id=sent.id)).body == b""
    assert await command("retention", "run") == Done(0, "Nothing is due.\n", "")
