"""Files that hold a key's secret half: written once, readable by their owner alone."""

import os
from pathlib import Path

from kernel.nkey import Nkey
from zhihui.errors import AppRefused

__all__ = ("write_seed_file",)


def write_seed_file(path: Path, key: Nkey) -> None:
    """Write a new file with mode 0600; raise :class:`AppRefused` when one is there."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise AppRefused(
            f"{path} is there already, and a key is never overwritten. Move it away, or choose "
            "another file with --out."
        ) from None
    except OSError as error:
        raise AppRefused(f"{path} cannot be written: {error.strerror}") from None
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{key.seed}\n")
        file.flush()
        os.fsync(descriptor)
