"""Archives: one content, one sequence of bytes, and nothing else is taken."""

import io
import os
import random
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.plugins.archive import (
    ARCHIVE_BYTES_MAX,
    FILES_MAX,
    digest_of,
    pack_files,
    pack_folder,
    read_archive,
)
from kernel.plugins.errors import ArchiveInvalid, ArchiveTooLarge, ManifestInvalid
from tests.unit.plugins_host.lab import library

_MANIFEST = library(1).files["plugin.toml"]

_names = st.from_regex(r"[a-z0-9_][a-z0-9_.-]{0,8}", fullmatch=True)
_paths = st.lists(_names, min_size=1, max_size=3).map("/".join)
_contents = st.dictionaries(_paths, st.binary(max_size=600), max_size=8)


def _plain(files: dict[str, bytes]) -> bool:
    """Tell whether no file is a folder as well."""
    return not any(other.startswith(f"{path}/") for path in files for other in files)


@given(_contents.filter(_plain), st.randoms(use_true_random=False))
def test_the_same_content_makes_the_same_bytes(
    files: dict[str, bytes], order: random.Random
) -> None:
    """Neither the order of the files nor anything else but their content shows in the bytes."""
    files = {**files, "plugin.toml": _MANIFEST}
    shuffled = list(files.items())
    order.shuffle(shuffled)
    data = pack_files(files)
    assert pack_files(dict(shuffled)) == data
    found = read_archive(data)
    assert found.files == files
    assert found.sha256 == digest_of(data)


@given(_contents.filter(_plain), st.data())
def test_no_other_bytes_are_taken_for_it(files: dict[str, bytes], data: st.DataObject) -> None:
    """An archive with a byte changed is another archive or none, never the same content."""
    files = {**files, "plugin.toml": _MANIFEST}
    packed = bytearray(pack_files(files))
    place = data.draw(st.integers(0, len(packed) - 1))
    packed[place] ^= data.draw(st.integers(1, 255))
    try:
        found = read_archive(bytes(packed))
    except (ArchiveInvalid, ManifestInvalid):
        return
    assert found.files != files


def test_a_folder_is_packed_by_its_content_alone(tmp_path: Path) -> None:
    """Times, modes, hidden files and compiled ones make no difference."""
    folder = tmp_path / "library"
    for name, content in library(1).files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    assert pack_folder(folder).data == library(1).data
    os.utime(folder / "pack.py", (1, 1))
    (folder / "pack.py").chmod(0o755)
    for name in (".git", "__pycache__", "rules/__pycache__"):
        (folder / name).mkdir()
        (folder / name / "x.pyc").write_bytes(b"x")
    (folder / "old.pyc").write_bytes(b"x")
    (folder / ".DS_Store").write_bytes(b"x")
    assert pack_folder(folder).data == library(1).data
    (folder / "pack.py").write_bytes(b"# another\n")
    assert pack_folder(folder).sha256 != library(1).sha256


def test_common_tools_read_an_archive(tmp_path: Path) -> None:
    """It is a plain tar."""
    shutil.unpack_archive(_written(tmp_path, library(1).data), tmp_path / "out")
    assert (tmp_path / "out" / "pack.py").read_bytes() == library(1).files["pack.py"]


def _written(folder: Path, data: bytes) -> Path:
    path = folder / "library.tar"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("kind", ["file", "folder", "dangling", "pipe"])
def test_a_folder_with_links_is_refused(tmp_path: Path, kind: str) -> None:
    """What is not a file of the folder itself is named and refused, not left out."""
    folder = tmp_path / "library"
    folder.mkdir()
    (folder / "plugin.toml").write_bytes(_MANIFEST)
    secret = tmp_path / "secret"
    if kind == "folder":
        secret.mkdir()
    elif kind == "file":
        secret.write_bytes(b"s")
    if kind == "pipe":
        os.mkfifo(folder / "extra")
    else:
        (folder / "extra").symlink_to(secret)
    with pytest.raises(ArchiveInvalid, match="files and folders only") as caught:
        pack_folder(folder)
    assert caught.value.field == "extra"


@pytest.mark.parametrize(
    "path",
    ["../evil.py", "/etc/x", "a/../../x", "a//b", "", "a/", ".hidden", "a b.py", "a\\b", "ä.py",
     "x" * 101, "a/" * 9 + "x", "a\nb", "a/./b"],
)  # fmt: skip
def test_paths_that_lead_elsewhere_are_refused(path: str) -> None:
    """A path is made of plain names below the root."""
    with pytest.raises(ArchiveInvalid, match="path of plain names"):
        pack_files({"plugin.toml": _MANIFEST, path: b""})


def test_two_names_for_one_file_are_refused() -> None:
    """A file system that does not tell capitals apart would hold one of the two."""
    with pytest.raises(ArchiveInvalid, match="only in case"):
        pack_files({"Plugin.toml": b"", "plugin.toml": _MANIFEST})
    with pytest.raises(ArchiveInvalid, match="a file and a folder"):
        pack_files({"a": b"", "a/b": b""})


def _tar(build: Callable[[tarfile.TarFile], None], mode: str = "w") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=tarfile.USTAR_FORMAT) as tar:  # type: ignore[call-overload]
        build(tar)
    return out.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes = b"", **more: object) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    for field, value in more.items():
        setattr(entry, field, value)
    tar.addfile(entry, io.BytesIO(content))


def _add_all(tar: tarfile.TarFile, *names: str) -> None:
    for name in names:
        _add(tar, name, _MANIFEST)


@pytest.mark.parametrize(
    "build",
    [
        lambda tar: _add(tar, "../plugin.toml", _MANIFEST),
        lambda tar: _add(tar, "plugin.toml", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        lambda tar: _add(tar, "plugin.toml", type=tarfile.LNKTYPE, linkname="x"),
        lambda tar: _add(tar, "plugin.toml", type=tarfile.DIRTYPE),
        lambda tar: _add(tar, "plugin.toml", _MANIFEST, mtime=1),
        lambda tar: _add(tar, "plugin.toml", _MANIFEST, mode=0o755),
        lambda tar: _add(tar, "plugin.toml", _MANIFEST, uname="root"),
        lambda tar: _add_all(tar, "plugin.toml", "plugin.toml"),
        lambda tar: _add_all(tar, "x", "plugin.toml"),
    ],
    ids=["above", "link", "hard link", "folder", "time", "mode", "owner", "twice", "order"],
)
def test_a_tar_of_another_making_is_refused(build: Callable[[tarfile.TarFile], None]) -> None:
    """Only what packing makes is read: no links, no doubles, nothing that depends on a machine."""
    with pytest.raises(ArchiveInvalid):
        read_archive(_tar(build))


def test_bytes_that_are_no_archive_are_refused() -> None:
    """Compressed, cut, longer, empty or random: each is refused with a reason."""
    data = library(1).data
    packed = _tar(lambda tar: _add(tar, "plugin.toml", _MANIFEST), mode="w:gz")
    for bad in (packed, data[:-1], data[: len(data) // 2], data + b"\0", b"", b"x" * 5000):
        with pytest.raises(ArchiveInvalid):
            read_archive(bad)


def test_another_digest_is_refused() -> None:
    """Who says which bytes they want gets those or none."""
    data = library(1).data
    assert read_archive(data, sha256=library(1).sha256).manifest.name == "library"
    with pytest.raises(ArchiveInvalid, match=r"has the digest .* and not"):
        read_archive(data, sha256=library(2).sha256)


def test_an_archive_needs_a_manifest() -> None:
    """Without one at its root it is no plugin."""
    with pytest.raises(ArchiveInvalid, match=r"no plugin\.toml at the root"):
        read_archive(pack_files({"library/plugin.toml": _MANIFEST}))


def test_size_and_number_are_limited(tmp_path: Path) -> None:
    """What is too large is refused before it is read, packed or taken apart."""
    with pytest.raises(ArchiveTooLarge):
        pack_files({"plugin.toml": bytes(ARCHIVE_BYTES_MAX + 1)})
    with pytest.raises(ArchiveTooLarge):
        pack_files({f"f{number}": b"" for number in range(FILES_MAX + 1)})
    with pytest.raises(ArchiveTooLarge):
        read_archive(bytes(2 * ARCHIVE_BYTES_MAX))
    many = _tar(lambda tar: _add_all(tar, *(f"f{number}" for number in range(FILES_MAX + 1))))
    with pytest.raises(ArchiveTooLarge):
        read_archive(many)
    (tmp_path / "plugin.toml").write_bytes(_MANIFEST)
    with (tmp_path / "big").open("wb") as file:
        # Sparse: it takes no room, and nobody could read it.
        file.truncate(1 << 36)
    with pytest.raises(ArchiveTooLarge):
        pack_folder(tmp_path)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The error says which folder and why."""
    with pytest.raises(ArchiveInvalid, match=r"nowhere cannot be read: No such file"):
        pack_folder(tmp_path / "nowhere")
