"""What tests of payments share."""

from pathlib import Path

import pytest

from actors.customers.keyring import ensure_keyring
from actors.customers.services import DATA_KEYS_SETTING
from kernel.clock import SystemClock
from kernel.randomness import SeededRandomness


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return what a node needs to keep customers."""
    keys = tmp_path_factory.mktemp("keys") / "keys.json"
    ensure_keyring(keys, SeededRandomness(1), SystemClock().now())
    return {DATA_KEYS_SETTING: str(Path(keys))}
