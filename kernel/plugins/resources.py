"""The files of an archive as ``importlib.resources`` wants them, from memory."""

import io
from collections.abc import Iterator, Mapping
from importlib.resources.abc import Traversable, TraversableResources
from typing import IO, Any

__all__ = ("ArchiveResources",)


class ArchiveResources(TraversableResources):
    """The resources of one package; ``prefix`` is its folder with a slash, or empty."""

    def __init__(self, files: Mapping[str, bytes], prefix: str) -> None:
        self._files = files
        self._prefix = prefix

    def files(self) -> Traversable:
        """Return the folder of the package."""
        return _Entry(self._files, self._prefix)


class _Entry(Traversable):
    """A file or a folder; the path of a folder ends with a slash, that of the root is empty."""

    def __init__(self, files: Mapping[str, bytes], path: str) -> None:
        self._files = files
        self._path = path

    @property
    def name(self) -> str:
        return self._path.rstrip("/").rpartition("/")[2]

    def is_file(self) -> bool:
        return self._path in self._files

    def is_dir(self) -> bool:
        folder = self._folder()
        return any(path.startswith(folder) for path in self._files)

    def iterdir(self) -> Iterator[Traversable]:
        folder = self._folder()
        names = {
            path[len(folder) :].partition("/")[0] for path in self._files if path.startswith(folder)
        }
        for name in sorted(names):
            yield _Entry(self._files, folder + name)

    def joinpath(self, *descendants: Any) -> Traversable:
        parts = [part for one in descendants for part in str(one).split("/") if part != "."]
        if ".." in parts:
            raise ValueError("a resource lies below its package, never above it")
        path = self._folder() + "/".join(parts)
        return _Entry(self._files, path if parts else self._path)

    def __truediv__(self, child: Any) -> Traversable:
        return self.joinpath(child)

    def open(self, mode: str = "r", *args: Any, **kwargs: Any) -> IO[Any]:
        if mode not in ("r", "rb"):
            raise ValueError(f"resources are read only, not opened with mode {mode!r}")
        raw = io.BytesIO(self.read_bytes())
        return raw if mode == "rb" else io.TextIOWrapper(raw, *args, **kwargs)

    def read_bytes(self) -> bytes:
        try:
            return self._files[self._path]
        except KeyError:
            raise FileNotFoundError(f"the archive has no file {self._path!r}") from None

    def read_text(self, encoding: str | None = None) -> str:
        return self.read_bytes().decode(encoding or "utf-8")

    def _folder(self) -> str:
        return self._path if not self._path or self._path.endswith("/") else f"{self._path}/"
