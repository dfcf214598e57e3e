"""Whose archives a node takes, as its settings say.

Without any setting these are the archives that come with the program, each known by its digest.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from kernel.plugins.archive import Archive
from kernel.plugins.signature import SigningKey, TrustedKeys

__all__ = (
    "KEYS_SETTING",
    "KEY_BYTES_MAX",
    "OPERATOR",
    "OPERATOR_KEY_SETTING",
    "UNSIGNED_SETTING",
    "WITH_THE_PROGRAM",
    "PluginTrust",
)

# Public keys (PEM): files, or folders of files `*.pem`, with the system's separator between them.
KEYS_SETTING = "ZHIHUI_PLUGIN_KEYS"
# The file of the operator's own private key; its public half is trusted.
OPERATOR_KEY_SETTING = "ZHIHUI_PLUGIN_OPERATOR_KEY"
# For development: archives are taken without a signature.
UNSIGNED_SETTING = "ZHIHUI_PLUGIN_UNSIGNED"

OPERATOR = "the operator"
WITH_THE_PROGRAM = "the program that it came with"

# An Ed25519 key has 113 bytes as PEM.
KEY_BYTES_MAX = 4096


class PluginTrust:
    """The ring of a node: ``keys`` is None when everything is taken.

    ``operator`` is the key with which the node signs what comes with its program, so that nodes of
    an older program take it as well.
    """

    def __init__(self, keys: TrustedKeys | None, operator: SigningKey | None = None) -> None:
        self.keys = keys
        self.operator = operator

    @classmethod
    def from_settings(
        cls, settings: Mapping[str, str], bundled: Iterable[Archive] = ()
    ) -> "PluginTrust":
        """Read the keys; raise :class:`ValueError` that says which file is not one."""
        ring: dict[str, bytes] = {}
        for path in _key_files(settings.get(KEYS_SETTING, "")):
            if path.stem in ring or path.stem == OPERATOR:
                raise ValueError(f"{KEYS_SETTING}: two keys are called {path.stem!r}")
            ring[path.stem] = _read(path, KEYS_SETTING)
        operator = None
        if own := settings.get(OPERATOR_KEY_SETTING, ""):
            try:
                operator = SigningKey.from_pem(_read(Path(own), OPERATOR_KEY_SETTING))
            except ValueError as error:
                raise ValueError(f"{OPERATOR_KEY_SETTING}: {own}: {error}") from None
            ring[OPERATOR] = operator.public_pem
        try:
            keys = TrustedKeys(ring)
        except ValueError as error:
            raise ValueError(f"{KEYS_SETTING}: {error}") from None
        for archive in bundled:
            keys.trust_digest(archive.sha256, WITH_THE_PROGRAM)
        return cls(None if settings.get(UNSIGNED_SETTING) else keys, operator)


def _key_files(value: str) -> list[Path]:
    found: list[Path] = []
    for one in filter(None, value.split(os.pathsep)):
        path = Path(one)
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(path.glob("*.pem"))
        if not inside:
            raise ValueError(f"{KEYS_SETTING}: the folder {path} holds no file *.pem")
        found += inside
    return found


def _read(path: Path, setting: str) -> bytes:
    try:
        with path.open("rb") as file:
            text = file.read(KEY_BYTES_MAX + 1)
    except OSError as error:
        raise ValueError(f"{setting}: {path} cannot be read: {error.strerror}") from None
    if len(text) > KEY_BYTES_MAX:
        raise ValueError(f"{setting}: {path} is too large for a key")
    return text
