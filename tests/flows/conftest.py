"""What the stories share: one small region, encoded once."""

from __future__ import annotations

import pytest

from tests.flows.linkage_world import Packages, make_packages


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    """Packages of five agencies, as they made them."""
    return make_packages(tmp_path_factory.mktemp("region"))
