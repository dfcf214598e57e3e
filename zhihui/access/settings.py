"""The environment variables that say how to connect to NATS, in one place."""

import os
from collections.abc import Mapping

import msgspec

from kernel.address import has_user
from kernel.nats_security import NatsSecurity

__all__ = (
    "CREDENTIALS_VARIABLE",
    "NATS_CREDENTIALS_VARIABLE",
    "TLS_CA_VARIABLE",
    "TLS_CERT_VARIABLE",
    "TLS_KEY_VARIABLE",
    "ServerTls",
    "app_security",
    "operator_security",
    "server_tls",
)

# Of a scenario backend: the file with the seed that `zhihui app add` wrote.
CREDENTIALS_VARIABLE = "ZHIHUI_CREDENTIALS"
# Of nodes and of operators' commands, on a NATS of one's own: the file with the node's seed.
NATS_CREDENTIALS_VARIABLE = "ZHIHUI_NATS_CREDENTIALS"
# Of everybody who connects: what the server's certificate must be signed by.
TLS_CA_VARIABLE = "ZHIHUI_NATS_TLS_CA"
# Of the embedded server alone: its certificate and its key.
TLS_CERT_VARIABLE = "ZHIHUI_NATS_TLS_CERT"
TLS_KEY_VARIABLE = "ZHIHUI_NATS_TLS_KEY"


class ServerTls(msgspec.Struct, frozen=True, kw_only=True):
    """Paths of the certificate chain and of the key (PEM) that a server shows."""

    certificate: str
    key: str


def operator_security(url: str, environment: Mapping[str, str] = os.environ) -> NatsSecurity:
    """Return how a node or an operator's command connects to ``url``.

    A user in the address comes first: the embedded server's address holds one.
    """
    seed_file = "" if has_user(url) else environment.get(NATS_CREDENTIALS_VARIABLE, "")
    return NatsSecurity(seed_file=seed_file, tls_ca=environment.get(TLS_CA_VARIABLE, ""))


def app_security(credentials: str, environment: Mapping[str, str] = os.environ) -> NatsSecurity:
    """Return how a scenario backend connects; ``credentials`` is a path, or empty for none."""
    return NatsSecurity(seed_file=credentials, tls_ca=environment.get(TLS_CA_VARIABLE, ""))


def server_tls(environment: Mapping[str, str] = os.environ) -> ServerTls | None:
    """Return what the embedded server shows, or None when it speaks plain text.

    Raise :class:`ValueError` when only one half is given.
    """
    certificate = environment.get(TLS_CERT_VARIABLE, "")
    key = environment.get(TLS_KEY_VARIABLE, "")
    if not certificate and not key:
        return None
    if not certificate or not key:
        raise ValueError(f"set both {TLS_CERT_VARIABLE} and {TLS_KEY_VARIABLE}, or neither")
    return ServerTls(certificate=certificate, key=key)
