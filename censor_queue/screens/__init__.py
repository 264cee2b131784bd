"""The screens of the review desk."""

from __future__ import annotations

from typing import Final

from censor_queue.screens import figures, mine, redaction, review, translation

ROUTES: Final = (*review.ROUTES, *redaction.ROUTES, *translation.ROUTES, *mine.ROUTES, *figures.ROUTES)
