"""The screens of the scanning."""

from __future__ import annotations

from typing import Final

from scanner.screens import covering, from_inside, heap, one_scan, overview, replies, ticks, transcripts

ROUTES: Final = (
    *overview.ROUTES,
    *heap.ROUTES,
    *from_inside.ROUTES,
    *one_scan.ROUTES,
    *replies.ROUTES,
    *covering.ROUTES,
    *transcripts.ROUTES,
    *ticks.ROUTES,
)
