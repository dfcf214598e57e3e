"""Versions of the bundled packs, made for this proof: the same pack, with a name to it."""

import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from schemas.plugins import ArchiveSignature

__all__ = ("HANDLER_MS", "BundledPack", "Tools", "Version", "make_version")

# A version that hangs is found out within seconds. What is sound takes milliseconds, but for a
# machine that is busy otherwise, where it must not be taken for slow.
HANDLER_MS = 1_000

_ENTRY = """\
from zhihui.plugin import Notice

from .{module} import {name}
from .witness import Mark, witnessed

Hot = witnessed({name}, Notice, Mark({mark}))
"""
_EVENT = """

[[events]]
type = "{pack}.witnessed"
data = ["witness:Witnessed"]
"""


class BundledPack(msgspec.Struct, frozen=True, kw_only=True):
    """A pack as it comes with the program: its files, and what its manifest says."""

    name: str
    version: str
    entry: str
    state_version: int
    files: dict[str, bytes]


class Tools(msgspec.Struct, frozen=True, kw_only=True):
    """What an author and an operator have at hand.

    ``pack`` makes an archive of files, ``sign`` signs one with the key of a data directory.
    """

    bundled: tuple[BundledPack, ...]
    pack: Callable[[Mapping[str, bytes]], bytes]
    sign: Callable[[Path, bytes], ArchiveSignature]


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """An archive that can be loaded. ``form`` is the state version of its documents."""

    pack: str
    version: str
    mood: str
    form: int
    data: bytes
    sha256: str


def make_version(tools: Tools, pack: BundledPack, version: str, *, mood: str, form: int) -> Version:
    """Return a version of a pack that marks what it does.

    Raise :class:`ValueError` for a manifest that is not written as those of the bundled packs are.
    """
    module, _, name = pack.entry.partition(":")
    mark = {"version": version, "form": form, "base_form": pack.state_version, "mood": mood}
    text = ", ".join(f"{key}={value!r}" for key, value in mark.items())
    files = {
        **pack.files,
        "plugin.toml": _manifest(pack, version, form),
        "witness.py": Path(__file__).with_name("witness.py").read_bytes(),
        "hot.py": _ENTRY.format(module=module, name=name, mark=text).encode(),
    }
    data = tools.pack(files)
    return Version(
        pack=pack.name,
        version=version,
        mood=mood,
        form=form,
        data=data,
        sha256=hashlib.sha256(data).hexdigest(),
    )


def _manifest(pack: BundledPack, version: str, form: int) -> bytes:
    text = pack.files["plugin.toml"].decode()
    text = _replaced(text, "version", f'"{version}"')
    text = _replaced(text, "entry", '"hot:Hot"')
    text = _replaced(text, "state_version", str(form))
    # A pack that says nothing of its limits gets the table; TOML takes no table twice.
    text = re.sub(r"(?m)^handler_ms = .*\n", "", text)
    if "\n[limits]\n" not in text:
        text += "\n[limits]\n"
    text = text.replace("\n[limits]\n", f"\n[limits]\nhandler_ms = {HANDLER_MS}\n")
    return f"{text}{_EVENT.format(pack=pack.name)}".encode()


def _replaced(text: str, key: str, value: str) -> str:
    text, times = re.subn(rf"(?m)^{key} = .*$", f"{key} = {value}", text)
    if times != 1:
        raise ValueError(f"plugin.toml has {times} lines `{key} = …`; one is expected")
    return text
