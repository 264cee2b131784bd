"""The log tells nothing that was said, whatever goes wrong."""

from __future__ import annotations

import asyncio
import io
import logging
import sys
from collections.abc import Iterator

import pytest
import structlog

from relay import log
from tests.workplaces import Client


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What a running relay writes to its log."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    log.configure()
    yield written
    root.handlers[:], root.level = before
    structlog.reset_defaults()


REQUESTS = (
    b"GET /en/inbox/SECRETLINK HTTP/9.9\r\n\r\n",
    b"GET /en/inbox/SECRETLINK\0 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /en/inbox/SECRETLINK" + b"x" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /en/inbox/SECRETLINK HTTP/1.1\r\nHost: x\r\nContent-Length: SECRETLINK\r\n\r\n",
)


@pytest.mark.parametrize("request_line", REQUESTS, ids=("version", "nul", "long", "length"))
async def test_broken_request_with_a_secret_link_is_not_quoted(
    desk: Client, told: io.StringIO, request_line: bytes
) -> None:
    reader, writer = await asyncio.open_connection(desk.host, desk.port)
    writer.write(request_line)
    await writer.drain()
    async with asyncio.timeout(5):
        first = await reader.readline()
    assert first.split()[1] == b"400"
    writer.transport.abort()
    assert "name=aiohttp.server" in told.getvalue()
    assert "SECRETLINK" not in told.getvalue()
    assert "127.0.0.1" not in told.getvalue()
