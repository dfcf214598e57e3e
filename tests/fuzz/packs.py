"""What an author uploads: manifests and archives are read, or refused in the words of the table."""

from kernel.plugins.archive import pack_files, read_archive
from kernel.plugins.manifest import MANIFEST_NAME, read_manifest
from kernel.plugins.signature import decode_signature
from tests.fuzz.mutation import TEXTS, Mutator
from tests.fuzz.reading import ReadingTarget
from zhihui.packs import bundled_archives

__all__ = ("ArchiveTarget", "ManifestTarget", "SignatureTarget")

_FIELDS = (512, 100, 124, 136, 148, 156, 257, 263, 345)


class ManifestTarget(ReadingTarget):
    """``plugin.toml``, changed as text: lines, values and whole tables."""

    name = "manifest"

    def __init__(self) -> None:
        super().__init__(read_manifest)

    def samples(self) -> list[bytes]:
        """Return the manifests of the bundled packs as well."""
        return [one.files[MANIFEST_NAME] for one in bundled_archives()] + super().samples()

    def changed(self, mutator: Mutator, data: bytes) -> bytes:
        """Change a value, double a line, or leave one out."""
        random = mutator.random
        lines = data.decode("utf-8", "replace").splitlines()
        for _ in range(random.randint(0, 3)):
            if not lines:
                break
            at = random.randrange(len(lines))
            name, equals, _ = lines[at].partition("=")
            if equals and random.random() < 0.6:
                lines[at] = f"{name}= {random.choice(_VALUES)}"
            elif random.random() < 0.5:
                lines.insert(random.randrange(len(lines)), lines[at])
            else:
                del lines[at]
        return "\n".join(lines).encode("utf-8", "surrogatepass")


_VALUES = (
    "0", "-1", "9" * 30, "1e999", "nan", "true", "[]", "{}", "''", "2026-11-25", "[[1]]",
    "{a = {b = {c = 1}}}", "0x7fffffffffffffff", '"' + "a" * 300 + '"',
    *(f'"""{text}"""' for text in TEXTS if '"' not in text and "\\" not in text),
)  # fmt: skip


class ArchiveTarget(ReadingTarget):
    """An archive: other files in it, and other headers of the tar."""

    name = "archive"

    def __init__(self) -> None:
        super().__init__(read_archive)
        self._manifest = bundled_archives()[0].files[MANIFEST_NAME]

    def samples(self) -> list[bytes]:
        """Return small archives, and what is kept."""
        files = {MANIFEST_NAME: self._manifest, "pack.py": b"x = 1\n", "a/b/c.json": b"{}"}
        return [pack_files(files), pack_files({MANIFEST_NAME: b""}), *super().samples()]

    def changed(self, mutator: Mutator, data: bytes) -> bytes:
        """Write something into a field of a header, and mend its checksum as a forger would."""
        random = mutator.random
        found = bytearray(data)
        if len(found) < 512 or random.random() < 0.2:
            return data
        block = random.randrange(len(found) // 512) * 512
        at = block + random.choice(_FIELDS) % 512
        piece = random.choice(_PIECES)
        found[at : at + len(piece)] = piece
        header = found[block : block + 512]
        header[148:156] = b" " * 8
        found[block + 148 : block + 156] = b"%06o\0 " % sum(header)
        return bytes(found)


_PIECES = (
    b"\x80" + b"\xff" * 11, b"\xff" * 12, b"\x80" + b"\0" * 10 + b"\xff", b"77777777777\0",
    b"-1\0", b"x", b"L",
    b"K", b"g", b"1", b"2", b"5", b"S", b"V", b"../../x\0", b"/etc/passwd\0", b"\xff\xfe\0",
    b"\0" * 12,
    b"ustar  \0", b"00000000000\0", b"plugin.toml\0",
)  # fmt: skip


class SignatureTarget(ReadingTarget):
    """The file of a signature."""

    name = "signature"

    def __init__(self) -> None:
        super().__init__(decode_signature)
