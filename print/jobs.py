"""What a worker does for the printing: it renders the open batches."""

from __future__ import annotations

from print import steps
from print.rendering import RenderingPool
from relay.config import Settings
from relay.domain.lives import BatchState
from relay.log import failed
from relay.sealing import PrivateKey
from relay.store import leases
from relay.store.sealed import Store
from relay.store.tables import batches


async def render_next(
    store: Store, settings: Settings, owner: str, office: PrivateKey, renderer: RenderingPool
) -> bool:
    """Render the oldest open batch. False where there is none."""
    async with store.database.writing() as connection:
        claimed = await leases.claim(
            connection,
            batches,
            batches.c.state == BatchState.OPEN,
            owner=owner,
            now=store.database.clock(),
            order_by=batches.c.created_at,
        )
    if not claimed:
        return False
    batch_id = claimed[0].id
    try:
        letters = await steps.letters_of(store, batch_id, office, settings.site.return_address)
        pdf = await renderer.render(list(letters.values()))
        await steps.rendered(store, batch_id, list(letters), pdf)
    except steps.BatchChangedError:
        async with store.database.writing() as connection:
            await leases.give_back(connection, batches, batch_id, owner=owner)
    except Exception as error:  # noqa: BLE001 - one batch that cannot be rendered does not stop the others
        failed("batch_failed", error, batch=batch_id)
        async with store.database.writing() as connection:
            await leases.fail(connection, batches, batch_id, error=type(error).__name__, now=store.database.clock())
    return True
