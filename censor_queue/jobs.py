"""What the worker does for the review."""

from __future__ import annotations

import datetime
from typing import Final

from censor_queue.outcomes import any_passed, record_passed
from relay.sealing import PrivateKey
from relay.store.sealed import Store

PASSED_AFTER: Final = datetime.timedelta(days=14)
"""How long after its delivery a letter counts as passed, if nobody has said anything else."""
AT_ONCE: Final = 50
"""Letters in one transaction: some tens of milliseconds."""


async def count_passed(store: Store, office: PrivateKey) -> bool:
    """Record letters as passed that were delivered a while ago without a complaint; false where there was none.

    A letter that cannot be opened is recorded too, so that it does not come again; its rules are not counted.
    """
    since = store.database.clock() - PASSED_AFTER
    async with store.database.reading() as connection:
        if not await any_passed(connection, since):
            return False
    async with store.database.writing() as connection:
        return await record_passed(connection, office, since, AT_ONCE) > 0
