"""How we prove to NATS who we are, and it to us: user keys, TLS, and a name for each refusal.

nats-py takes a refusal at the first connection for a server that is not there yet, and asks again
for ever. Here a refusal ends the attempt with a typed error. Once connected, nats-py goes on
trying, because an operator may mend it.
"""

import base64
import contextlib
import re
import ssl
from pathlib import Path
from typing import Any

import msgspec
import nats.errors
from nats.aio.client import Client

from kernel.address import without_user
from kernel.nkey import Nkey
from schemas.errors import Forbidden, NotReady

__all__ = (
    "NatsSecurity",
    "SecureClient",
    "denied_subject",
    "is_denied",
    "read_key",
)

# The server names what it refused in quotes; nats-py gives its words in lower case.
_DENIED_SUBJECT = re.compile(
    r'permissions violation for (publish|subscription) (?:with reply of |to )?"([^"]*)"',
    re.IGNORECASE,
)
_DENIED = (
    "authorization violation",
    "authorization failed",
    "authentication revoked",
    "authentication expired",
)


class NatsSecurity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a connection needs besides an address; empty where it needs nothing.

    ``seed_file`` is the path of a user's nkey seed. ``tls_ca`` is the path of the certificates
    (PEM) that the server's must be signed by; with it, or with an address that begins with
    ``tls://``, a connection in plain text is refused.
    """

    seed_file: str = ""
    tls_ca: str = ""


class SecureClient(Client):
    """nats-py's client that connects as :class:`NatsSecurity` says and tells refusals apart."""

    def __init__(self) -> None:
        super().__init__()
        self._security = NatsSecurity()
        self._tls_required = False
        self._connected_once = False
        self._attempted = False

    async def connect_secure(self, url: str, security: NatsSecurity, **options: Any) -> None:
        """Connect with nats-py's ``options``.

        Raise :class:`Forbidden` when the server refuses us or the seed is unusable, and
        :class:`NotReady` when TLS fails; other errors are nats-py's own.
        """
        self._security = security
        self._tls_required = bool(security.tls_ca) or "tls://" in url
        if security.tls_ca:
            options["tls"] = _tls_context(security.tls_ca)
        if security.seed_file:
            read_key(security.seed_file)
            url = without_user(url)
        self._attempted = True
        # Several servers are one address with commas for people, and a list for nats-py.
        await self.connect(url.split(",") if "," in url else url, **options)
        self._connected_once = True

    async def close(self) -> None:
        """Close the connection, or do nothing when there was never an attempt at one."""
        if self._attempted:
            # nats-py raises when it still had something to send and the server has hung up.
            with contextlib.suppress(ConnectionError):
                await super().close()

    async def _process_connect_init(self) -> None:
        try:
            await super()._process_connect_init()
        except (nats.errors.Error, ssl.SSLError) as error:
            if self._connected_once:
                raise
            if is_denied(error):
                raise Forbidden("NATS does not accept the credentials") from error
            if isinstance(error, (ssl.SSLError, _PlainText)):
                raise NotReady(f"no safe connection to NATS: {error}") from error
            raise

    def _connect_command(self) -> bytes:
        # Called with the server's greeting read and TLS begun, before anything secret is sent.
        if self._tls_required and not self._server_info.get("tls_required"):
            raise _PlainText("the server offers no TLS, and TLS is asked for")
        if self._security.seed_file:
            # Read anew each time, so that a rotated key is taken up by the next connection.
            try:
                key = read_key(self._security.seed_file)
            except Forbidden as error:
                raise nats.errors.Error(error.message) from error
            self._public_nkey = key.public_key
            self._signature_cb = lambda nonce: base64.b64encode(key.sign(nonce.encode()))
        return bytes(super()._connect_command())


class _PlainText(nats.errors.Error):
    pass


def read_key(seed_file: str | Path) -> Nkey:
    """Read a seed file; raise :class:`Forbidden`, which names the file and not what is in it."""
    try:
        return Nkey.from_seed(Path(seed_file).read_text())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise Forbidden(f"the credentials in {seed_file} cannot be used: {reason}") from None


def _tls_context(authority: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=authority)
    except (OSError, ssl.SSLError) as error:
        raise NotReady(
            f"the certificates in {authority} cannot be used: {error.strerror or error}"
        ) from error


def is_denied(error: BaseException) -> bool:
    """Tell whether the server refused the credentials."""
    text = str(error).lower()
    return isinstance(error, nats.errors.Error) and any(sign in text for sign in _DENIED)


def denied_subject(error: BaseException) -> tuple[str, str] | None:
    """Return ("publish" or "subscription", the subject in lower case) of a refusal, or None."""
    found = _DENIED_SUBJECT.search(str(error))
    return (found[1].lower(), found[2].lower()) if found else None
