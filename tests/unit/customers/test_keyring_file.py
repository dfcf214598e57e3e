"""The keyring's file: a rotation reaches a running node without a restart."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from actors.customers.keyring import (
    KeyringFile,
    activated,
    encode_keyring,
    new_keyring,
    with_new_key,
)
from kernel.randomness import SeededRandomness
from schemas.errors import NotReady

_NOW = datetime(2026, 11, 25, tzinfo=UTC)


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    """The next question after a change is answered from the new file."""
    path = tmp_path / "keys.json"
    first = new_keyring(SeededRandomness(1), _NOW)
    path.write_bytes(encode_keyring(first))
    file = KeyringFile(path)
    assert file.keyring() == first
    assert file.keyring() is file.keyring()
    second = activated(with_new_key(first, SeededRandomness(2), _NOW), "k2", _NOW)
    path.write_bytes(encode_keyring(second))
    assert file.keyring() == second


def test_without_a_file_nothing_is_done(tmp_path: Path) -> None:
    """A node that lost its keys refuses for now, instead of writing under none."""
    path = tmp_path / "keys.json"
    file = KeyringFile(path)
    with pytest.raises(NotReady, match="cannot be read"):
        file.keyring()
    path.write_bytes(b"no keyring")
    with pytest.raises(NotReady, match="no keyring"):
        file.keyring()
    ring = new_keyring(SeededRandomness(1), _NOW)
    path.write_bytes(encode_keyring(ring))
    assert file.keyring() == ring
