"""The folder of a pack, found and read."""

from pathlib import Path

from kernel.plugins.archive import Archive, pack_files, pack_folder, read_archive
from kernel.plugins.manifest import MANIFEST_NAME
from schemas.errors import Rejected
from zhihui.errors import SetupError

__all__ = ("ARCHIVE_SUFFIX", "archive_at", "code_of", "pack_root", "retold")

ARCHIVE_SUFFIX = ".zhpack"
# What an author brings along for others, and no node needs.
_FOR_OTHERS = ("samples/", "tests/")


def pack_root(path: Path) -> Path:
    """Return the folder of the pack that ``path`` is in; raise :class:`SetupError` for none."""
    where = path.resolve()
    for folder in (where, *where.parents):
        if (folder / MANIFEST_NAME).is_file():
            return folder
    raise SetupError(
        f"{path} is not in a pack: there is no {MANIFEST_NAME}. Name the folder of a pack, "
        "or make one with `zhihui plugin new NAME`."
    )


def archive_at(path: Path) -> Archive:
    """Return the archive in a file, or that of a folder; raise :class:`SetupError`."""
    try:
        if path.is_dir():
            return pack_folder(pack_root(path))
        return read_archive(path.read_bytes())
    except FileNotFoundError as error:
        raise SetupError(f"There is no file or folder {path}.") from error
    except Rejected as error:
        raise SetupError(retold(path, error)) from error


def code_of(archive: Archive) -> Archive:
    """Return the archive without tests and samples, as it is loaded where nobody reads them."""
    kept = {name: data for name, data in archive.files.items() if not name.startswith(_FOR_OTHERS)}
    return read_archive(pack_files(kept))


def retold(path: Path, error: Rejected) -> str:
    """Return what is wrong with a pack, as a sentence for its author."""
    return f"{path} cannot be packed: {error.message}"
