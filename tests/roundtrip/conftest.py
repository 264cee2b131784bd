"""What the tests of the whole round share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.handwriting import write_answer


@pytest.fixture(scope="session")
def handwriting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photographed page with a short answer."""
    return write_answer(tmp_path_factory.mktemp("handwriting") / "answer.png")
