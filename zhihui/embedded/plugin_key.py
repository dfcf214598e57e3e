"""The key with which whoever runs a platform here signs plugins."""

import os
from pathlib import Path

from kernel.plugins.signature import SigningKey

__all__ = ("plugin_operator_key", "plugin_operator_key_file")

_FILE = "plugin-operator.pem"


def plugin_operator_key_file(data_dir: Path) -> Path:
    """Return where the key of a data directory is, whether it is there or not."""
    return data_dir.absolute() / _FILE


def plugin_operator_key(data_dir: Path) -> Path:
    """Return the file of the key, which is made unless it is there.

    Of several programs that begin at once exactly one makes it.
    """
    path = plugin_operator_key_file(data_dir)
    if path.exists():
        return path
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    own = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(own, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(SigningKey.generate().pem)
    try:
        # Unlike a rename, a link fails when the name is taken.
        os.link(own, path)
    except FileExistsError:
        pass
    finally:
        own.unlink()
    return path
