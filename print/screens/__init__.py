"""The screens of the printing."""

from __future__ import annotations

from typing import Final

from print.screens import batch, by_code, correspondents, overview, pages, papers, printers

# Those with a name of their own before those that begin with the id of a batch.
ROUTES: Final = (
    *overview.ROUTES,
    *by_code.ROUTES,
    *correspondents.ROUTES,
    *pages.ROUTES,
    *papers.ROUTES,
    *printers.ROUTES,
    *batch.ROUTES,
)
