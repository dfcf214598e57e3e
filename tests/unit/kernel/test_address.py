"""Addresses: shown without what is secret, and stripped of users."""

import pytest

from kernel.address import has_user, without_password, without_user


@pytest.mark.parametrize(
    ("address", "shown", "bare"),
    [
        ("nats://h:1", "nats://h:1", "nats://h:1"),
        ("nats://node:secret@h:1", "nats://node@h:1", "nats://h:1"),
        ("nats://node:sec@ret@h:1", "nats://node@h:1", "nats://h:1"),
        ("tls://node:secret@h:1", "tls://node@h:1", "tls://h:1"),
        ("node:secret@h:1", "node@h:1", "nats://h:1"),
        (
            "nats://a:secret@h:1,nats://b:secret@g:2",
            "nats://a@g:2",
            "nats://h:1,nats://g:2",
        ),
    ],
)
def test_no_password_is_shown(address: str, shown: str, bare: str) -> None:
    """A person sees who and where; of several servers with passwords, the last."""
    assert without_password(address) == shown
    assert "sec" not in shown
    assert without_user(address) == bare
    assert has_user(address) == ("@" in address)
    assert not has_user(bare)
