"""A mail is answered on the screens of the demo: the relay takes it as it takes any mail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

from relay.demo.mailbox import catching, mail_site
from relay.mail.receiving import taking_answers
from relay.store import tables
from tests.workplaces import ADDRESS, House, get, post, send_all


@pytest.fixture
def config(unused_tcp_port_factory: Callable[[], int]) -> str:
    """As the demo's: mails can be answered."""
    incoming = f'[incoming]\naddress = "letters@demo.example"\nport = {unused_tcp_port_factory()}\nprotocol = "smtp"\n'
    return f'[site]\nname = "Demo relay"\nreturn_address = ["PO Box 9"]\n{incoming}'


async def test_answer_written_in_the_demo_comes_to_the_conversation(
    house: House, tmp_path: Path, unused_tcp_port: int
) -> None:
    sent = await house.queued(address=ADDRESS)
    mails = tmp_path / "mails"
    async with (
        catching(mails, "127.0.0.1", unused_tcp_port),
        taking_answers(house.store, house.settings.incoming),
        TestClient(TestServer(mail_site(house.relay, mails))) as screens,
    ):
        assert await send_all(house.sender(port=unused_tcp_port)) == 1
        (shown,) = [link for link in (await get(screens, "/en/")).screen.links if "/mail/" in link]
        assert "Answer this mail" in (await get(screens, shown)).screen.text
        assert (await post(screens, shown, {"text": " "})).status == 303
        assert await house.rows(tables.incoming) == []
        answered = await post(screens, shown, {"text": "Dear John,\n\nonce more.\n\nMary"})
        assert "Your answer was handed over." in answered.screen.text
    row = await house.row(tables.incoming)
    assert row.conversation_id == (await house.row(tables.letters, id=sent.id)).conversation_id
