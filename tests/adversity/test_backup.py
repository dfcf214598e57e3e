"""Backups are taken while payments go on, restored on servers elsewhere, and nothing is missing."""

import sys
from pathlib import Path

import pytest

from loadtest.adversity.backup import Way, prove_backup
from zhihui.migrate import migrate

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.mark.parametrize("way", ["pg_dump", "pg_basebackup"])
async def test_a_backup_under_load_is_whole(tmp_path: Path, way: Way) -> None:
    """What was acknowledged before is in it, the audit holds, and a node serves on it as before."""
    report = await prove_backup(tmp_path, way, migrate=migrate, payments=500, say=lambda _: None)
    sys.stdout.write(f"{report}\n")
    assert report.ok, report
    assert report.acknowledged >= 500
    assert report.payments >= report.acknowledged
    assert report.meanwhile > 0, "nothing was paid meanwhile"
