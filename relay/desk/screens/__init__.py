"""The public site: find a prisoner, write, see the pages, send, confirm, follow, change, read the reply."""

from __future__ import annotations

from typing import Final

from relay.desk.screens import entrance, inbox, writing

ROUTES: Final = (*entrance.ROUTES, *writing.ROUTES, *inbox.ROUTES)
