"""The keys under which data of persons is kept, and the file that holds them.

A keyring has one index key and any number of data keys, one of them active. New data is encrypted
under the active one; the others still read what was written under them. A key that is on standby
was never active: it can be brought to every machine before the first of them writes under it.
"""

import os
from datetime import datetime
from pathlib import Path

import msgspec

from kernel.randomness import Randomness
from schemas.errors import NotReady

__all__ = (
    "KEYS_MAX",
    "KEY_BYTES",
    "DataKey",
    "Keyring",
    "KeyringFile",
    "activated",
    "decode_keyring",
    "encode_keyring",
    "ensure_keyring",
    "new_keyring",
    "with_new_key",
    "write_keyring",
)

# AES-256.
KEY_BYTES = 32
# One a quarter for twelve years. Every key is tried by nobody: an id names it.
KEYS_MAX = 50


class DataKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One data key; ``activated_at`` is null while it is on standby."""

    key_id: str
    created_at: datetime
    secret: bytes
    activated_at: datetime | None = None

    def __repr__(self) -> str:
        return f"<DataKey {self.key_id}>"


class Keyring(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All keys; ``index_key`` is that of the keyed hashes and never changes.

    While it is ``rotating``, what was stored under older keys is being moved to the active one.
    """

    active: str
    index_key: bytes
    keys: tuple[DataKey, ...]
    rotating: bool = False
    version: int = 1

    def __repr__(self) -> str:
        return f"<Keyring of {len(self.keys)}, {self.active} active>"

    def key(self, key_id: str) -> DataKey | None:
        """Return a data key, or None when the ring has no such key."""
        return next((one for one in self.keys if one.key_id == key_id), None)

    def standby(self) -> DataKey | None:
        """Return the newest key that was never active, or None."""
        waiting = [one for one in self.keys if one.activated_at is None]
        return waiting[-1] if waiting else None


def _secret(randomness: Randomness) -> bytes:
    return randomness.bits(KEY_BYTES * 8).to_bytes(KEY_BYTES, "big")


def new_keyring(randomness: Randomness, now: datetime) -> Keyring:
    """Return a ring with an index key and the first data key, active."""
    first = DataKey(key_id="k1", created_at=now, secret=_secret(randomness), activated_at=now)
    return Keyring(active="k1", index_key=_secret(randomness), keys=(first,))


def with_new_key(keyring: Keyring, randomness: Randomness, now: datetime) -> Keyring:
    """Return the ring with one more key, on standby; raise :class:`ValueError` when it is full."""
    if len(keyring.keys) >= KEYS_MAX:
        raise ValueError(f"the ring holds {KEYS_MAX} keys, which is as many as it may")
    number = 1 + max(int(one.key_id.removeprefix("k")) for one in keyring.keys)
    new = DataKey(key_id=f"k{number}", created_at=now, secret=_secret(randomness))
    return msgspec.structs.replace(keyring, keys=(*keyring.keys, new))


def activated(keyring: Keyring, key_id: str, now: datetime) -> Keyring:
    """Return the ring with another active key, to which the stored data is still to be moved."""
    if keyring.key(key_id) is None:
        raise ValueError(f"the ring has no key {key_id!r}")
    keys = tuple(
        msgspec.structs.replace(one, activated_at=one.activated_at or now)
        if one.key_id == key_id
        else one
        for one in keyring.keys
    )
    return msgspec.structs.replace(keyring, active=key_id, keys=keys, rotating=True)


def encode_keyring(keyring: Keyring) -> bytes:
    """Return the ring as its file holds it."""
    return msgspec.json.format(msgspec.json.encode(keyring)) + b"\n"


def decode_keyring(data: bytes) -> Keyring:
    """Return the ring that a file holds; raise :class:`ValueError` that quotes none of it."""
    try:
        keyring = msgspec.json.decode(data, type=Keyring)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError("it is no keyring: make one with `zhihui keys new`") from error
    if keyring.version != 1:
        raise ValueError(f"its version is {keyring.version}; this program reads version 1")
    names = [one.key_id for one in keyring.keys]
    if len(set(names)) < len(names) or keyring.key(keyring.active) is None:
        raise ValueError("its keys have the same names, or the active one is missing")
    if any(not name.removeprefix("k").isdecimal() for name in names):
        raise ValueError("its keys are not named k1, k2 and so on")
    if any(len(one) != KEY_BYTES for one in (keyring.index_key, *(k.secret for k in keyring.keys))):
        raise ValueError(f"a key of it does not have {KEY_BYTES} bytes")
    return keyring


def write_keyring(path: Path, keyring: Keyring) -> None:
    """Replace a ring's file, whole or not at all; only its owner may read it."""
    partial = path.with_name(f"{path.name}.partial")
    partial.unlink(missing_ok=True)
    _write_new(partial, keyring)
    partial.replace(path)


def _write_new(path: Path, keyring: Keyring) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(encode_keyring(keyring))
        file.flush()
        os.fsync(descriptor)


def ensure_keyring(path: Path, randomness: Randomness, now: datetime) -> bool:
    """Make a ring's file unless one is there, and tell whether it was made.

    Of several programs that begin at once exactly one makes it: a second ring would have another
    index key, and find nothing of what the first one stored.
    """
    if path.exists():
        return False
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    own = path.with_name(f"{path.name}.{randomness.bits(64):016x}")
    _write_new(own, new_keyring(randomness, now))
    try:
        # Unlike a rename, a link fails when the name is taken.
        os.link(own, path)
    except FileExistsError:
        return False
    finally:
        own.unlink()
    return True


class KeyringFile:
    """The ring of a file, read again when the file has changed: rotation needs no restart."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._keyring: Keyring | None = None

    def keyring(self) -> Keyring:
        """Return the ring as the file holds it; raise :class:`NotReady` when there is none."""
        try:
            status = self._path.stat()
            seen = (status.st_mtime_ns, status.st_size, status.st_ino)
            if self._keyring is None or seen != self._seen:
                self._keyring = decode_keyring(self._path.read_bytes())
                self._seen = seen
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise NotReady(f"the keys of the customers' data cannot be read: {reason}") from None
        return self._keyring
