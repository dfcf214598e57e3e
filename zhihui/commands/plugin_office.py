"""What the back office does with plugins: it brings archives and changes the plan."""

import contextlib
import getpass
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from actors.plugins.archives import parts_of
from kernel.plugins.archive import (
    ARCHIVE_BYTES_MAX,
    FILES_MAX,
    Archive,
    pack_folder,
    read_archive,
)
from kernel.plugins.errors import ArchiveInvalid, ArchiveTooLarge, SignatureRefused
from kernel.plugins.signature import Signature, SigningKey, decode_signature
from schemas.errors import Rejected
from schemas.plugins import PluginChanged, UploadPart
from zhihui.embedded.plugin_key import plugin_operator_key_file

if TYPE_CHECKING:
    from zhihui.client import Client

__all__ = ("Office", "archive_at", "signature_file", "signature_of")

# A person who waits for a first answer longer than this looks for what is wrong.
_CALL_S = 10.0
_NAME_SHOWN = 60


def archive_at(path: Path) -> Archive:
    """Return the archive of a folder, or the one that a file holds.

    Raise one of the errors of archives and manifests, or :class:`OSError`.
    """
    if path.is_dir():
        return pack_folder(path)
    if path.stat().st_size > ARCHIVE_BYTES_MAX + FILES_MAX * 1024:
        raise ArchiveTooLarge(f"{path} has more than {ARCHIVE_BYTES_MAX} bytes")
    return read_archive(path.read_bytes())


def signature_file(archive: Path) -> Path:
    """Return where the signature of an archive's file stands: beside it."""
    return archive.with_name(f"{archive.name}.sig")


def signature_of(
    archive: Archive, path: Path, key: Path | None, data_dir: Path
) -> tuple[Signature | None, str]:
    """Return the signature to load an archive with, and in words whose it is.

    It is made with ``key``, or read from the file beside the archive, or made with the key of the
    data directory; whatever comes first. Raise :class:`~kernel.plugins.errors.SignatureRefused`.
    """
    beside = signature_file(path)
    if key is None and beside.is_file():
        signature = decode_signature(beside.read_bytes())
        if signature.sha256 != archive.sha256:
            raise SignatureRefused(f"{beside} is of another archive; sign this one")
        return signature, str(beside)
    own = plugin_operator_key_file(data_dir)
    chosen = key or (own if own.is_file() else None)
    if chosen is None:
        return None, ""
    try:
        return SigningKey.from_pem(chosen.read_bytes()).sign(archive), str(chosen)
    except ValueError as error:
        raise SignatureRefused(f"{chosen}: {error}") from None


class Office:
    """The back office over a client that is open."""

    def __init__(self, client: "Client") -> None:
        self._client = client

    async def upload(self, archive: Archive, progress: Callable[[int, int], None]) -> None:
        """Bring the parts of an archive that are not there yet.

        ``progress`` gets how many of how many there are. Every run has ids of its own: what an
        earlier one was refused for may have been mended.
        """
        parts = parts_of(archive.data)
        try:
            done = await self._bring(archive.sha256, parts, progress, skip=True)
        except Rejected:
            # What an earlier run brought may be damaged; sent again it is written over.
            done = await self._bring(archive.sha256, parts, progress, skip=False)
        if not done:
            raise ArchiveInvalid("somebody else brings the same archive in other parts; try again")

    async def _bring(
        self, sha256: str, parts: list[str], progress: Callable[[int, int], None], *, skip: bool
    ) -> bool:
        pending = list(range(len(parts)))
        while pending:
            index = pending.pop(0)
            request = UploadPart(
                request_id=self._client.new_request_id(), sha256=sha256, index=index,
                total=len(parts), data=parts[index],
            )  # fmt: skip
            answer = await self._call("upload", msgspec.to_builtins(request))
            missing = set(answer["missing"])
            progress(len(parts) - len(missing), len(parts))
            if answer["complete"]:
                return True
            if skip:
                pending = [one for one in pending if one in missing]
        return False

    async def change(self, verb: str, reason: str, **fields: Any) -> PluginChanged:
        """Change the plan; return what became of the generation."""
        body = {
            "request_id": self._client.new_request_id(),
            "reason": reason,
            "by": _person(),
            **{
                name: msgspec.to_builtins(value)
                for name, value in fields.items()
                if value is not None
            },
        }
        return msgspec.convert(await self._call(verb, body), PluginChanged)

    async def read(self, verb: str, **fields: Any) -> dict[str, Any]:
        """Return what `list` or `show` answers."""
        answer: dict[str, Any] = await self._call(verb, fields)
        return answer

    async def _call(self, verb: str, body: dict[str, Any]) -> Any:
        return await self._client.call("plugin", verb, msgspec.to_builtins(body), timeout_s=_CALL_S)


def _person() -> str:
    """Return who sits at the terminal, as far as the system knows."""
    with contextlib.suppress(OSError, KeyError, ImportError):
        name = getpass.getuser()
        return name[:_NAME_SHOWN] if name.isprintable() else ""
    return ""
