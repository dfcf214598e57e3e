"""What a NATS server has to be told so that each app can do its own things and nothing else.

Each app has an account of its own, which imports its requests, its intake and its events from the
account of the service. So an app's messages cannot reach anything else, whatever subject it
publishes to, and neither can an answer, whatever reply subject it names: a reply stays in the
account that asked. Permissions alone would not do: JetStream acknowledges to any reply subject, and
a user who may publish to a stream could make the server speak to any subject of the account.
"""

import json
from collections.abc import Iterable, Sequence

import msgspec

from kernel.nkey import is_public_key
from schemas.catalogue import BANK_OPERATIONS
from schemas.requests import intake_subject
from schemas.subjects import inbox_prefix

__all__ = (
    "NODE_PASSWORD_VARIABLE",
    "NODE_USER",
    "SERVICE_ACCOUNT",
    "AppAccess",
    "accounts_block",
    "app_account",
    "node_by_key",
    "node_by_password",
    "node_by_variable",
)

SERVICE_ACCOUNT = "zhihui"
NODE_USER = "node"
# In the environment of a NATS server of one's own, when the nodes have no key.
NODE_PASSWORD_VARIABLE = "ZHIHUI_NODE_PASSWORD"  # noqa: S105 - the name of a variable

_SENSITIVE = tuple((one.service, one.verb) for one in BANK_OPERATIONS if one.sensitive)


class AppAccess(msgspec.Struct, frozen=True):
    """An app and the public key of its user."""

    app: str
    public_key: str


def app_account(app: str) -> str:
    """Return the name of an app's account; no app's name makes it the service's."""
    return f"app:{app}"


def _services(app: str) -> tuple[str, str]:
    return f"zh.v1.{app}.>", f"zh.in.v1.{app}.>"


def _events(app: str) -> str:
    return f"zh.evt.v1.{app}.>"


def node_by_password(password: str) -> str:
    """Return the user of the nodes with a password, for :func:`accounts_block`."""
    return f"{{ user: {NODE_USER}, password: {json.dumps(password)} }}"


def node_by_variable() -> str:
    """Return the user of the nodes with a password from the server's own environment."""
    return f"{{ user: {NODE_USER}, password: ${NODE_PASSWORD_VARIABLE} }}"


def node_by_key(public_key: str) -> str:
    """Return the user of the nodes with a key; raise :class:`ValueError` when it is none."""
    return f"{{ nkey: {_checked(public_key)} }}"


def _checked(public_key: str) -> str:
    # One key that is none would make the server refuse the whole configuration.
    if not is_public_key(public_key):
        raise ValueError(f"{public_key!r} is not the public key of a user: 56 signs, U first")
    return public_key


def accounts_block(apps: Sequence[AppAccess], node: str) -> str:
    """Return the ``accounts`` of a NATS server's configuration; it has no anonymous users.

    The node's user may do everything in the service's account. Raise :class:`ValueError` for a key
    that is none.
    """
    return "\n".join(
        (
            "accounts {",
            f"  {SERVICE_ACCOUNT} {{",
            "    jetstream: enabled",
            f"    users: [ {node} ]",
            "    exports: [",
            *(f"      {line}" for one in apps for line in _exports(one.app)),
            "    ]",
            "  }",
            *(f"  {line}" for one in apps for line in _account(one)),
            "}",
            "",
        )
    )


def _exports(app: str) -> Iterable[str]:
    account = json.dumps(app_account(app))
    for subject in _services(app):
        yield f"{{ service: {json.dumps(subject)}, accounts: [{account}] }}"
    yield f"{{ stream: {json.dumps(_events(app))}, accounts: [{account}] }}"


def _account(one: AppAccess) -> Iterable[str]:
    publish = json.dumps(_services(one.app))
    # What carries data of a person must not reach the files of a stream.
    kept_out = json.dumps([intake_subject(one.app, *name) for name in _SENSITIVE])
    subscribe = json.dumps((f"{inbox_prefix(one.app)}.>", _events(one.app)))
    yield f"{json.dumps(app_account(one.app))} {{"
    yield "  users: [ {"
    yield f"    nkey: {_checked(one.public_key)}"
    yield "    permissions: {"
    yield f"      publish: {{ allow: {publish}, deny: {kept_out} }}"
    yield f"      subscribe: {{ allow: {subscribe} }}"
    yield "    }"
    yield "  } ]"
    yield "  imports: ["
    for kind, subject in (
        *(("service", subject) for subject in _services(one.app)),
        ("stream", _events(one.app)),
    ):
        source = f"account: {SERVICE_ACCOUNT}, subject: {json.dumps(subject)}"
        yield f"    {{ {kind}: {{ {source} }} }}"
    yield "  ]"
    yield "}"
