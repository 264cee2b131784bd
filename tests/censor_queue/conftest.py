"""The workplaces as they run, and the review with two volunteers."""

from __future__ import annotations

import pytest

from censor_queue.review import Review
from tests.censor_queue.letters import review_of
from tests.workplaces import House, config, desk, engine, filled_file, house, office_client, rendering_pool

__all__ = ["config", "desk", "engine", "filled_file", "house", "office_client", "rendering_pool"]


@pytest.fixture
def review(house: House) -> Review:
    """A review whose screening finds nothing."""
    return review_of(house)


@pytest.fixture
def anna(house: House) -> str:
    """The id of a volunteer."""
    return house.volunteers["anna"]


@pytest.fixture
def boris(house: House) -> str:
    """The id of another volunteer."""
    return house.volunteers["boris"]
