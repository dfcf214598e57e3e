"""Archives, keys and signatures as files."""

import os
from pathlib import Path

from kernel.plugins.archive import Archive, pack_folder
from kernel.plugins.errors import SignatureRefused
from kernel.plugins.signature import SigningKey, TrustedKeys, decode_signature
from schemas.errors import Rejected
from zhihui.author.packing import ARCHIVE_SUFFIX, archive_at, pack_root, retold
from zhihui.errors import SetupError

__all__ = ("make_key", "pack_to", "sign_archive", "signature_file", "verify_archive")

_SECRET = 0o600


def signature_file(archive: Path) -> Path:
    """Return where the signature of an archive's file stands: beside it."""
    return archive.with_name(f"{archive.name}.sig")


def pack_to(path: Path, out: Path | None) -> tuple[Path, Archive]:
    """Write the archive of a pack's folder, and return where it is."""
    folder = pack_root(path)
    try:
        archive = pack_folder(folder)
    except Rejected as error:
        raise SetupError(retold(folder, error)) from error
    name = f"{archive.manifest.name}-{archive.manifest.version}{ARCHIVE_SUFFIX}"
    target = out or Path()
    if target.is_dir():
        target /= name
    if target.resolve().is_relative_to(folder):
        # It would be part of the next one.
        target = folder.parent / target.name
    _write(target, archive.data)
    return target, archive


def make_key(name: str, folder: Path) -> tuple[Path, Path]:
    """Make a pair of keys; return the files of the secret half and of the public one."""
    secret, public = folder / f"{name}.secret.pem", folder / f"{name}.pem"
    for path in (secret, public):
        if path.exists():
            raise SetupError(f"{path} is there already; a key is never overwritten.")
    key = SigningKey.generate()
    try:
        descriptor = os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _SECRET)
    except OSError as error:
        raise SetupError(f"{secret} cannot be written: {error.strerror}.") from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(key.pem)
    _write(public, key.public_pem)
    return secret, public


def sign_archive(path: Path, key_file: Path) -> Path:
    """Write the signature of an archive beside it, and return where."""
    try:
        key = SigningKey.from_pem(_read(key_file))
    except ValueError as error:
        raise SetupError(f"{key_file}: {error}.") from None
    target = signature_file(path)
    _write(target, key.sign(_archive_file(path)).encode())
    return target


def verify_archive(path: Path, key_files: list[Path]) -> tuple[Archive, str]:
    """Return an archive and who signed it; raise :class:`SetupError` when none of the keys did."""
    archive = _archive_file(path)
    try:
        ring = TrustedKeys({one.stem: _read(one) for one in key_files})
    except ValueError as error:
        raise SetupError(f"{error}.") from error
    beside = signature_file(path)
    if not beside.is_file():
        raise SetupError(f"{path} is not signed: there is no {beside}.")
    try:
        return archive, ring.verify(archive, decode_signature(_read(beside)))
    except SignatureRefused as error:
        raise SetupError(f"{beside}: {error.message}.") from error


def _archive_file(path: Path) -> Archive:
    if path.is_dir():
        raise SetupError(f"{path} is a folder; make an archive of it by `zhihui plugin pack`.")
    return archive_at(path)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SetupError(f"{path} cannot be read: {error.strerror}.") from error


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise SetupError(f"{path} cannot be written: {error.strerror}.") from error
