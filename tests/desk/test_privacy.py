"""The page about privacy: it says what the settings of this installation are."""

from __future__ import annotations

import pytest

from relay.config import Retention
from relay.domain.languages import LANGUAGES
from tests.workplaces import Client, get

OTHER = {name: 1001 + number for number, name in enumerate(Retention.model_fields)}


@pytest.fixture
def config(config: str) -> str:
    """Clocks that no installation has."""
    return config + "[retention]\n" + "".join(f"{name} = {days}\n" for name, days in OTHER.items())


async def test_every_clock_of_the_settings_is_shown(desk: Client) -> None:
    text = (await get(desk, "/en/privacy")).screen.text
    # Mails are not taken in this installation.
    assert [name for name, days in OTHER.items() if f"{days} days" not in text] == ["mails"]


@pytest.mark.parametrize("language", LANGUAGES)
async def test_every_page_leads_to_it(desk: Client, language: str) -> None:
    for page in ("", "lost-link", "phrase", "nowhere"):
        assert f"/{language}/privacy" in (await get(desk, f"/{language}/{page}")).screen.links
    assert (await get(desk, f"/{language}/privacy")).status == 200
