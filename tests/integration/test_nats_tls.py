"""TLS by configuration: who has the authority connects, and no secret goes out in plain text."""

import datetime as dt
import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kernel.clock import SystemClock
from kernel.nats_bus import NatsBus
from kernel.nats_security import NatsSecurity
from kernel.nkey import Nkey
from schemas.errors import NotReady
from zhihui.access.configuration import AppAccess
from zhihui.access.seed_file import write_seed_file
from zhihui.access.settings import TLS_CA_VARIABLE, ServerTls
from zhihui.client import Client
from zhihui.embedded.nats_server import EmbeddedNats, reload_access, write_access
from zhihui.embedded.servers import check_nats, started_servers
from zhihui.errors import ServerFailed, ServerUnreachable

pytestmark = pytest.mark.anyio

_PATIENCE_S = 20.0

_CA_USAGE = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


class _Authority:
    """A throw-away authority, which signs a certificate for the loopback address."""

    def __init__(self, directory: Path, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        own = (
            self._builder(self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_CA_USAGE, critical=True)
        )
        self.ca = str(directory / f"{name}.ca.pem")
        Path(self.ca).write_bytes(_pem(own.sign(self._key, hashes.SHA256())))
        key = ec.generate_private_key(ec.SECP256R1())
        host = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
        certificate = self._builder(subject, key).add_extension(
            x509.SubjectAlternativeName([host]), critical=False
        )
        self.tls = ServerTls(
            certificate=str(directory / f"{name}.pem"), key=str(directory / f"{name}.key")
        )
        Path(self.tls.certificate).write_bytes(_pem(certificate.sign(self._key, hashes.SHA256())))
        Path(self.tls.key).write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey
    ) -> x509.CertificateBuilder:
        now = SystemClock().now()
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            # Both identifiers, and the usage above, are asked for by Python 3.13.
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
        )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


@asynccontextmanager
async def _server(directory: Path, tls: ServerTls | None) -> AsyncIterator[EmbeddedNats]:
    server = EmbeddedNats(directory / "server", tls=tls)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def _bus(url: str, ca: str) -> NatsBus:
    return NatsBus(url, name="test", clock=SystemClock(), security=NatsSecurity(tls_ca=ca))


async def test_nodes_backends_and_commands_connect_over_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the authority named, all three kinds of client connect; the server offers only TLS."""
    authority = _Authority(tmp_path, "bank")
    monkeypatch.setenv(TLS_CA_VARIABLE, authority.ca)
    key = Nkey.generate()
    write_seed_file(tmp_path / "shop.nk", key)
    with anyio.fail_after(_PATIENCE_S):
        async with (
            _server(tmp_path, authority.tls) as server,
            _bus(server.url, authority.ca) as bus,
        ):
            await bus.subscribe(
                "zh.v1.>", lambda _, reply, __, ___: bus.publish(reply, b'{"ok":true}')
            )
            await bus.round_trip_s(_PATIENCE_S)
            write_access(tmp_path / "server", [AppAccess("shop", key.public_key)])
            assert await reload_access(tmp_path / "server")
            async with Client(
                app="shop", url=server.public_url, credentials=tmp_path / "shop.nk"
            ) as shop:
                assert await shop.call("account", "get", {}) is None
            await check_nats(server.url)


@pytest.mark.parametrize("named", ["another", "none"])
async def test_a_server_of_another_authority_is_refused(tmp_path: Path, named: str) -> None:
    """A certificate that the named authority, or the system's, did not sign ends the attempt."""
    authority = _Authority(tmp_path, "bank")
    ca = _Authority(tmp_path, "another").ca if named == "another" else ""
    async with _server(tmp_path, authority.tls) as server:
        with anyio.fail_after(_PATIENCE_S), pytest.raises(NotReady, match="certificate"):
            async with _bus(server.url, ca):
                pass


@pytest.mark.parametrize("by", ["authority", "address"])
async def test_no_secret_is_sent_in_plain_text_when_tls_is_asked_for(
    tmp_path: Path, by: str
) -> None:
    """A server that offers no TLS, or somebody who hides the offer, is told nothing."""
    received = b""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")

    async def pretend(stream: anyio.abc.SocketStream) -> None:
        nonlocal received
        async with stream:
            await stream.send(b'INFO {"server_id":"X","auth_required":true,"headers":true}\r\n')
            try:
                while True:
                    received += await stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return

    port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - not Django's
    scheme, ca = ("nats", _Authority(tmp_path, "bank").ca) if by == "authority" else ("tls", "")
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, pretend)
        with anyio.fail_after(_PATIENCE_S), pytest.raises(NotReady, match="no TLS"):
            async with _bus(f"{scheme}://node:secret@127.0.0.1:{port}", ca):
                pass
        group.cancel_scope.cancel()
    assert received == b""


async def test_an_error_never_quotes_the_password(tmp_path: Path) -> None:
    """What went wrong is told with the address and the user, without the password."""
    async with _server(tmp_path, None) as server:
        wrong = server.url.replace(server.url.rpartition("@")[0], "nats://node:mistake")
        with pytest.raises(ServerUnreachable) as caught:
            await check_nats(wrong)
        assert "mistake" not in str(caught.value)
        assert "node@127.0.0.1" in str(caught.value)


async def test_half_a_configuration_is_refused(tmp_path: Path, postgres_dsn: str) -> None:
    """A certificate without its key stops the start, in words."""
    environment = {"ZHIHUI_POSTGRES_DSN": postgres_dsn, "ZHIHUI_NATS_TLS_CERT": "cert.pem"}
    with pytest.raises(ServerFailed, match="ZHIHUI_NATS_TLS_KEY"):
        async with started_servers(tmp_path, environment=environment):
            pass
