"""What a worker does for the printing: it renders the open batches."""

from __future__ import annotations

from print import steps
from print.rendering import RenderingPool
from relay.config import Settings
from relay.domain.lives import BatchState
from relay.sealing import PrivateKey
from relay.store.sealed import Store
from relay.store.tables import batches
from relay.store.work import work_on_next


async def render_next(store: Store, settings: Settings, owner: str, office: PrivateKey, pool: RenderingPool) -> bool:
    """Render the oldest open batch. False where there is none."""

    async def render(batch_id: str) -> None:
        letters = await steps.letters_of(store, batch_id, office, settings.site.return_address)
        pdf = await pool.render(list(letters.values())) if letters else steps.NO_PAGES
        await steps.rendered(store, batch_id, list(letters), pdf)

    return await work_on_next(store.database, batches, batches.c.state == BatchState.OPEN, owner=owner, do=render)
