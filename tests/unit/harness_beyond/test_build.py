"""Which code a node of a build runs."""

import os
import subprocess
import sys
from pathlib import Path

from loadtest.harness.stands import Build

_SAYS_WHERE = "import pathlib, zhihui; print(pathlib.Path(zhihui.__file__).parent.parent)"


def _runs(build: Build) -> str:
    """Return where a process finds the package when it starts in this checkout, as nodes do."""
    done = subprocess.run(
        [sys.executable, "-c", _SAYS_WHERE],
        env={**os.environ, **build.environment()},
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_a_build_of_another_checkout_runs_its_own_code(tmp_path: Path) -> None:
    """Though it starts in this checkout, where this one is installed too, it finds the other's."""
    (tmp_path / "zhihui").mkdir()
    (tmp_path / "zhihui" / "__init__.py").touch()
    assert _runs(Build(checkout=str(tmp_path))) == str(tmp_path.resolve())


def test_our_own_build_is_this_checkout() -> None:
    """Without another checkout, a node runs what is being tested."""
    assert _runs(Build()) == str(Path(__file__).parents[3])
