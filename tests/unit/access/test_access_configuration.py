"""What the broker is told: each app its own subjects, and nothing that is not a key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.nkey import Nkey
from schemas.identifiers import APP_PATTERN
from zhihui.access.configuration import (
    SERVICE_ACCOUNT,
    AppAccess,
    accounts_block,
    app_account,
    node_by_key,
    node_by_password,
    node_by_variable,
)
from zhihui.access.registry import check_app_name
from zhihui.access.settings import app_security, operator_security, server_tls
from zhihui.errors import AppRefused

_KEY = Nkey.generate().public_key


def test_an_app_is_told_its_own_subjects_only() -> None:
    """The part of an app names its requests, its intake, its inbox and its events, and no other."""
    block = accounts_block([AppAccess("shop", _KEY)], node_by_password("secret"))
    part = block[block.index('"app:shop" {') :]
    assert 'publish: { allow: ["zh.v1.shop.>", "zh.in.v1.shop.>"], deny: [' in part
    assert 'subscribe: { allow: ["_INBOX_shop.>", "zh.evt.v1.shop.>"] }' in part
    assert part.count("import") == 1
    assert "secret" not in part
    assert "gym" not in block


@given(app=st.from_regex(APP_PATTERN, fullmatch=True))
def test_no_app_is_named_like_the_service(app: str) -> None:
    """No name that an app may have makes its account that of the service."""
    assert app_account(app) != SERVICE_ACCOUNT


@pytest.mark.parametrize(
    "key",
    ["", "U", "U" * 56, f"{_KEY} }}", Nkey.generate().seed],
    ids=["empty", "short", "unsigned", "more", "seed"],
)
def test_what_is_no_key_never_reaches_the_configuration(key: str) -> None:
    """One wrong key, or one with a brace, would undo the whole configuration."""
    with pytest.raises(ValueError, match="not the public key"):
        accounts_block([AppAccess("shop", key)], node_by_password("secret"))
    with pytest.raises(ValueError, match="not the public key"):
        node_by_key(key)


def test_the_node_is_known_by_a_key_or_a_password_from_elsewhere() -> None:
    """What an operator prints holds no password."""
    assert node_by_key(_KEY) == f"{{ nkey: {_KEY} }}"
    assert node_by_variable() == "{ user: node, password: $ZHIHUI_NODE_PASSWORD }"


@pytest.mark.parametrize("name", ["bank", "", "Shop", "a.b", "a b", "*", ">", "x" * 33, "shop\n"])
def test_impossible_names_are_refused(name: str) -> None:
    """A name that could widen a subject, and the platform's own, are refused."""
    with pytest.raises(AppRefused):
        check_app_name(name)


def test_a_user_in_the_address_comes_before_the_environment() -> None:
    """The embedded server's address holds its user; a key for another server is not tried on it."""
    given = {"ZHIHUI_NATS_CREDENTIALS": "node.nk", "ZHIHUI_NATS_TLS_CA": "ca.pem"}
    assert operator_security("nats://node:secret@127.0.0.1:1", given).seed_file == ""
    assert operator_security("nats://127.0.0.1:1", given).seed_file == "node.nk"
    assert operator_security("nats://127.0.0.1:1", given).tls_ca == "ca.pem"
    assert app_security("shop.nk", given).seed_file == "shop.nk"
    assert app_security("", given).seed_file == ""


def test_a_certificate_needs_its_key() -> None:
    """Both halves make a server's TLS, none is plain text, and one is a mistake."""
    assert server_tls({}) is None
    both = server_tls({"ZHIHUI_NATS_TLS_CERT": "c.pem", "ZHIHUI_NATS_TLS_KEY": "k.pem"})
    assert both is not None
    assert (both.certificate, both.key) == ("c.pem", "k.pem")
    for name in ("ZHIHUI_NATS_TLS_CERT", "ZHIHUI_NATS_TLS_KEY"):
        with pytest.raises(ValueError, match="both"):
            server_tls({name: "one.pem"})
