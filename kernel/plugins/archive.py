"""A plugin as one sequence of bytes: the same content makes the same bytes, always.

An archive is a plain tar (ustar) without compression: the files in order of their names, each with
mode 644, no owner and no time. Compression would make the bytes depend on the version of zlib.
Reading accepts exactly what packing makes, byte for byte, so that there is one archive for one
content and no room for entries that two readers understand differently.
"""

import hashlib
import io
import os
import re
import stat
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from kernel.plugins.errors import ArchiveInvalid, ArchiveTooLarge
from kernel.plugins.manifest import MANIFEST_NAME, Manifest, read_manifest

__all__ = (
    "ARCHIVE_BYTES_MAX",
    "DEPTH_MAX",
    "FILES_MAX",
    "PATH_CHARACTERS_MAX",
    "Archive",
    "digest_of",
    "pack_files",
    "pack_folder",
    "read_archive",
)

# A pack with a day of sample messages has some hundred KiB; every node keeps it while it loads.
ARCHIVE_BYTES_MAX = 8 * 1024 * 1024
FILES_MAX = 1_000
# What a ustar header holds as a single name.
PATH_CHARACTERS_MAX = 100
DEPTH_MAX = 8

# Letters of every file system; a leading dot is for files that editors and tools leave behind.
_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_LEFT_OUT = re.compile(r"\..*|__pycache__|.*\.py[co]")


class Archive(msgspec.Struct, frozen=True, kw_only=True):
    """An archive that was checked. ``sha256`` is of ``data``, in hexadecimal digits."""

    data: bytes
    sha256: str
    manifest: Manifest
    files: dict[str, bytes]


def digest_of(data: bytes) -> str:
    """Return the SHA-256 by which an archive is known, in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def pack_folder(folder: Path) -> Archive:
    """Return the archive of a folder.

    Hidden files and what Python compiled are left out. Raise :class:`ArchiveInvalid` for a link, a
    device, or a name that not every file system can hold.
    """
    files: dict[str, bytes] = {}
    total = 0
    for path, name in _walk(folder, ""):
        # Before reading it: the folder may hold anything.
        total += path.stat().st_size
        if total > ARCHIVE_BYTES_MAX:
            raise _too_large(total)
        files[name] = path.read_bytes()
    return read_archive(pack_files(files))


def _walk(folder: Path, prefix: str) -> Iterator[tuple[Path, str]]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise ArchiveInvalid(f"{folder} cannot be read: {error.strerror}") from error
    for entry in entries:
        if _LEFT_OUT.fullmatch(entry.name):
            continue
        name = f"{prefix}{entry.name}"
        mode = entry.stat(follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode):
            if name.count("/") >= DEPTH_MAX:
                raise ArchiveInvalid(f"{name!r} is deeper than {DEPTH_MAX} folders", field=name)
            yield from _walk(Path(entry.path), f"{name}/")
        elif stat.S_ISREG(mode):
            yield Path(entry.path), name
        else:
            what = "a symbolic link" if stat.S_ISLNK(mode) else "not a file"
            raise ArchiveInvalid(
                f"{name!r} is {what}; an archive holds files and folders only", field=name
            )


def pack_files(files: Mapping[str, bytes]) -> bytes:
    """Return the bytes of an archive that holds these files, by their paths."""
    _check_paths(files)
    total = sum(map(len, files.values()))
    if total > ARCHIVE_BYTES_MAX:
        raise _too_large(total)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted(files):
            # Everything else of the entry is zero or empty, and its mode is 644.
            entry = tarfile.TarInfo(name)
            entry.size = len(files[name])
            tar.addfile(entry, io.BytesIO(files[name]))
    return out.getvalue()


def read_archive(data: bytes, *, sha256: str | None = None) -> Archive:
    """Return the archive that the bytes hold, with its manifest.

    With ``sha256`` the bytes must be those. Raise :class:`ArchiveInvalid` or
    :class:`ArchiveTooLarge`, or :class:`~kernel.plugins.errors.ManifestInvalid`.
    """
    if len(data) > ARCHIVE_BYTES_MAX + FILES_MAX * 1024:
        raise _too_large(len(data))
    digest = digest_of(data)
    if sha256 is not None and digest != sha256:
        raise ArchiveInvalid(f"the archive has the digest {digest}, and not {sha256}")
    files = _entries(data)
    if pack_files(files) != data:
        raise ArchiveInvalid(
            "the bytes are not as packing makes them; pack the folder with this program"
        )
    if MANIFEST_NAME not in files:
        raise ArchiveInvalid(f"there is no {MANIFEST_NAME} at the root", field=MANIFEST_NAME)
    return Archive(
        data=data, sha256=digest, manifest=read_manifest(files[MANIFEST_NAME]), files=files
    )


def _entries(data: bytes) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            for entry in tar:
                content = tar.extractfile(entry) if entry.type == tarfile.REGTYPE else None
                if content is None:
                    raise ArchiveInvalid(f"{entry.name!r} is not a plain file", field=entry.name)
                if len(files) >= FILES_MAX:
                    raise ArchiveTooLarge(f"more than {FILES_MAX} files")
                files[entry.name] = content.read()
    except (tarfile.TarError, ValueError, EOFError, OSError, OverflowError) as error:
        raise ArchiveInvalid(f"not an archive of a plugin: {error}") from error
    return files


def _check_paths(files: Mapping[str, bytes]) -> None:
    if len(files) > FILES_MAX:
        raise ArchiveTooLarge(f"{len(files)} files; at most {FILES_MAX} are taken")
    folders: set[str] = set()
    seen: set[str] = set()
    for name in files:
        segments = name.split("/")
        if (
            len(name) > PATH_CHARACTERS_MAX
            or len(segments) > DEPTH_MAX + 1
            or not all(map(_SEGMENT.fullmatch, segments))
        ):
            raise ArchiveInvalid(
                f"{name!r} is not a path of plain names: letters, digits, '.', '-' and '_', "
                f"at most {PATH_CHARACTERS_MAX} characters and {DEPTH_MAX} folders deep",
                field=name,
            )
        # Two names of one file, where the file system does not tell capitals apart.
        if name.lower() in seen:
            raise ArchiveInvalid(f"{name!r} differs from another path only in case", field=name)
        seen.add(name.lower())
        folders.update("/".join(segments[:end]).lower() for end in range(1, len(segments)))
    if clash := seen & folders:
        name = min(clash)
        raise ArchiveInvalid(f"{name!r} is a file and a folder", field=name)


def _too_large(size: int) -> ArchiveTooLarge:
    return ArchiveTooLarge(f"{size} bytes; at most {ARCHIVE_BYTES_MAX} are taken")
