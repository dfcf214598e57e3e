"""A new pack, made of templates: a small trade that works, to be replaced by another."""

from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from keyword import iskeyword
from pathlib import Path
from re import fullmatch
from string import Template

from zhihui.errors import SetupError

__all__ = ("new_pack",)

_SUFFIX = ".in"


def new_pack(name: str, parent: Path) -> list[Path]:
    """Make the folder of a pack in ``parent`` and return its files; raise :class:`SetupError`."""
    if not fullmatch(r"[a-z][a-z0-9_]{0,31}", name) or iskeyword(name):
        raise SetupError(
            f"{name!r} cannot be the name of a pack: it is a token of subjects and of modules, so "
            "it has 1 to 32 lower case letters, digits and '_', begins with a letter, and is no "
            "word of Python. Try one such as `bike_lockers`."
        )
    folder = parent / name
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SetupError(f"{folder} is there already, and nothing in it was changed.")
    class_name = "".join(part.capitalize() for part in name.split("_") if part)
    made = []
    for template, relative in _templates(files("zhihui.author") / "scaffold", Path()):
        text = Template(template.read_text("utf-8")).substitute(name=name, class_name=class_name)
        path = folder / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        made.append(path)
    return sorted(made)


def _templates(folder: Traversable, relative: Path) -> Iterator[tuple[Traversable, Path]]:
    for entry in folder.iterdir():
        path = relative / entry.name
        if entry.is_dir():
            yield from _templates(entry, path)
        elif entry.name.endswith(_SUFFIX):
            yield entry, path.with_suffix("")
