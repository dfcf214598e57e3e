"""What users cost the generator who do nothing at the moment."""

from pathlib import Path

import pytest

from loadtest.harness.proofs import echoing, measure_idle_users

pytestmark = pytest.mark.anyio

_MIB = 1024 * 1024


@pytest.mark.slow
async def test_a_thousand_idle_users_take_less_than_two_megabytes(tmp_path: Path) -> None:
    """An idle user is an object and an entry of the pacer: 2 MiB a thousand are the bound."""
    async with echoing(tmp_path) as (url, scenario):
        each = await measure_idle_users(url, scenario, 2_000)
    assert each * 1_000 <= 2 * _MIB
