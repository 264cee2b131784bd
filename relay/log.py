"""What is logged: that something failed, its kind and where in the code. Never a message: it may hold content,
an address or a secret link.
"""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
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


class _Libraries(logging.Handler):
    """Logs what libraries say, without what they say: web servers quote requests, and those hold secret links."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log the kind of one record."""
        error = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        with suppress(Exception):  # a line that cannot be written must not stop what a library was doing
            _LOG.warning("library", name=record.name, level=record.levelname.lower(), error=error)


def configure() -> None:
    """Send our own lines to standard error, and of what libraries log from warnings on only the kind."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    logging.basicConfig(level=logging.WARNING, handlers=[_Libraries()], force=True)
