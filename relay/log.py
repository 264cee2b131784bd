"""How failures are logged: what, which kind of error and where in the code. Never a message: it may hold content."""

from __future__ import annotations

from typing import Final

import structlog

_LOG: Final = structlog.get_logger()


def failed(what: str, error: BaseException, **names: str | None) -> None:
    """Log that something failed; `names` are ids of records or names of screens."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = f"{frame.tb_frame.f_globals.get('__name__')}:{frame.tb_lineno}" if frame else None
    _LOG.warning(what, error=type(error).__name__, place=place, **names)
