"""The public site: find a prisoner, write, see the pages, send, confirm, follow, change, read the reply."""

from __future__ import annotations

from typing import Final

from relay.desk.screens import entrance, inbox, lost_link, overdue, privacy, writing

ROUTES: Final = (*entrance.ROUTES, *writing.ROUTES, *inbox.ROUTES, *overdue.ROUTES, *lost_link.ROUTES, *privacy.ROUTES)
