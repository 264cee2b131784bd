"""The workplaces as they run."""

from __future__ import annotations

from tests.workplaces import config, desk, engine, filled_file, house, office_client, rendering_pool

__all__ = ["config", "desk", "engine", "filled_file", "house", "office_client", "rendering_pool"]
