"""Finds the sample days that come with packs."""

from pathlib import Path

import plugins

__all__ = ("DAY_FILE", "MANIFEST_FILE", "bundled_days")

DAY_FILE = "day.jsonl.gz"
MANIFEST_FILE = "day.manifest.json"

# Those that begin on any date come before those that move it, which never goes back.
_ORDER = ("parking", "wholesale_market", "campus")


def bundled_days() -> dict[str, Path]:
    """Return the folder of each pack's day by the pack's name, in the order of playing."""
    found = {
        path.parents[1].name: path.parent
        for room in plugins.__path__
        for path in sorted(Path(room).glob(f"*/samples/{MANIFEST_FILE}"))
        if (path.parent / DAY_FILE).exists()
    }
    first = [name for name in _ORDER if name in found]
    return {name: found[name] for name in (*first, *sorted(found.keys() - set(first)))}
