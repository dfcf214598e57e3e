"""A backend with its own key tries what is not its own: the server itself refuses all of it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from nats.aio.msg import Msg

from kernel.nats_security import NatsSecurity, SecureClient, denied_subject
from kernel.nkey import Nkey
from schemas.errors import Forbidden
from schemas.subjects import inbox_prefix
from tests.eventually import eventually
from zhihui.access.configuration import AppAccess
from zhihui.access.seed_file import write_seed_file
from zhihui.client import Client
from zhihui.embedded.nats_server import EmbeddedNats, reload_access, write_access

pytestmark = pytest.mark.anyio

_ANSWER = b'{"ok":true,"result":{"done":true}}'
_PATIENCE_S = 20.0

_NOT_TO_PUBLISH = (
    "zh.v1.gym.account.get",
    "zh.v1.bank.account.open",
    "zh.v1.shop2.account.get",
    "zh.v1.shop",
    "zh.in.v1.gym.payment.create",
    "zh.evt.v1.shop.account.opened",
    "zh.evt.v1.gym.account.opened",
    "zh.dead.v1.shop.payment.create",
    "zh.node.v1.n1",
    "zh.cluster.v1",
    "zh.relay.v1.n1.1",
    "_INBOX.x",
    "_INBOX_gym.x",
    "_INBOX_bank.x",
    "$JS.API.INFO",
    "$JS.API.STREAM.NAMES",
    "$JS.API.STREAM.DELETE.ZHIHUI_EVENTS",
    "$JS.ACK.ZHIHUI_INTAKE.x.1.1.1.1.0",
    "$SYS.REQ.SERVER.PING",
    "$SYS.REQ.USER.INFO",
    "$SRV.PING",
    "$SRV.STATS.zhihui",
    "anything",
)
_NOT_TO_SUBSCRIBE = (
    "_INBOX_gym.>",
    "_INBOX_gym.*",
    "_INBOX_bank.>",
    "_INBOX.>",
    "_R_.>",
    "zh.evt.v1.gym.>",
    "zh.evt.v1.*.account.opened",
    "zh.evt.v1.>",
    "zh.v1.shop.>",
    "zh.v1.>",
    "zh.in.v1.shop.>",
    "zh.node.v1.>",
    "zh.cluster.v1",
    "zh.relay.v1.>",
    "$JS.API.>",
    "$JS.EVENT.>",
    "$SYS.>",
    "$SRV.>",
    "zh.>",
    "*.>",
    ">",
)


class _Broker:
    """A server with two apps, each with a key in a file."""

    def __init__(self, server: EmbeddedNats, directory: Path) -> None:
        self.server = server
        self.directory = directory
        self.keys: dict[str, str] = {}

    def seed_file(self, app: str) -> Path:
        return self.directory / f"{app}.nk"

    def allow(self, *apps: str, new_key: bool = False) -> None:
        """Write the configuration with these apps; a running server has to be told."""
        for app in apps:
            path = self.seed_file(app)
            if new_key:
                path.unlink(missing_ok=True)
            if not path.exists():
                key = Nkey.generate()
                write_seed_file(path, key)
                self.keys[app] = key.public_key
        write_access(
            self.directory / "nats-server", [AppAccess(app, self.keys[app]) for app in apps]
        )

    async def reload(self) -> None:
        assert await reload_access(self.directory / "nats-server")

    def client(self, app: str) -> Client:
        return Client(
            app=app,
            url=self.server.public_url,
            credentials=self.seed_file(app),
            timeout_s=_PATIENCE_S,
        )


@pytest.fixture
def broker(nats_server: EmbeddedNats, tmp_path: Path) -> _Broker:
    """The test's own server, with the apps shop and gym."""
    broker = _Broker(nats_server, tmp_path)
    broker.allow("shop", "gym")
    asyncio.run(broker.reload())
    return broker


class _Connection:
    """A plain NATS connection, and what the server refused on it."""

    def __init__(self, client: SecureClient) -> None:
        self.nats = client
        self.errors: list[Exception] = []
        self.received: list[Msg] = []

    async def on_error(self, error: Exception) -> None:
        self.errors.append(error)

    async def keep(self, message: Msg) -> None:
        self.received.append(message)

    async def flush(self) -> None:
        # nats-py sends a ping ahead of what is still queued, so one is not enough.
        await self.nats.flush()
        await self.nats.flush()

    def denied(self) -> set[tuple[str, str]]:
        return {found for error in self.errors if (found := denied_subject(error))}


@asynccontextmanager
async def _connected(
    url: str, seed_file: Path | str = "", *, app: str = ""
) -> AsyncIterator[_Connection]:
    connection = _Connection(SecureClient())
    try:
        await connection.nats.connect_secure(
            url,
            NatsSecurity(seed_file=str(seed_file)),
            error_cb=connection.on_error,
            inbox_prefix=inbox_prefix(app) if app else "_INBOX",
            allow_reconnect=False,
        )
        yield connection
    finally:
        await connection.nats.close()


def _as(broker: _Broker, app: str) -> "contextlib.AbstractAsyncContextManager[_Connection]":
    return _connected(broker.server.public_url, broker.seed_file(app), app=app)


@asynccontextmanager
async def _service(broker: _Broker) -> AsyncIterator[_Connection]:
    """Answer every request as the nodes would, and keep all that reaches the service's account."""
    async with _connected(broker.server.url) as service:

        async def answer(message: Msg) -> None:
            if message.reply:
                await service.nats.publish(message.reply, _ANSWER)

        await service.nats.subscribe(">", cb=service.keep)
        await service.nats.subscribe("zh.v1.>", queue="zhihui", cb=answer)
        await service.flush()
        yield service


async def test_foreign_subjects_are_refused_by_the_server(broker: _Broker) -> None:
    """Publishing to any other subject is a violation, and nothing of it reaches anybody."""
    async with _service(broker) as service, _as(broker, "shop") as shop:
        for subject in _NOT_TO_PUBLISH:
            await shop.nats.publish(subject, b"{}", reply=f"{inbox_prefix('shop')}.x")
        await shop.flush()
        assert shop.denied() == {("publish", subject.lower()) for subject in _NOT_TO_PUBLISH}
        # On the same connection, which goes on: its own request is answered.
        answer = await shop.nats.request("zh.v1.shop.account.get", b"{}", timeout=_PATIENCE_S)
        assert answer.data == _ANSWER
        assert {one.subject for one in service.received if one.data == b"{}"} == {
            "zh.v1.shop.account.get"
        }


async def test_foreign_subscriptions_are_refused_by_the_server(broker: _Broker) -> None:
    """Subscribing to anything but the own inbox and events is a violation, in a group as well."""
    async with _service(broker) as service, _as(broker, "shop") as shop, _as(broker, "gym") as gym:
        for subject in _NOT_TO_SUBSCRIBE:
            await shop.nats.subscribe(subject, cb=shop.keep)
            await shop.nats.subscribe(subject, queue="zhihui", cb=shop.keep)
        await shop.flush()
        assert shop.denied() == {("subscription", subject.lower()) for subject in _NOT_TO_SUBSCRIBE}
        # What the others do meanwhile is not seen, and the own events are.
        await gym.nats.request("zh.v1.gym.account.get", b"{}", timeout=_PATIENCE_S)
        await shop.nats.subscribe("zh.evt.v1.shop.>", cb=shop.keep)
        await shop.flush()
        await service.nats.publish("zh.evt.v1.gym.account.opened", b"gym")
        await service.nats.publish("zh.evt.v1.shop.account.opened", b"shop")
        await eventually(lambda: bool(shop.received), "the own event")
        assert [one.data for one in shop.received] == [b"shop"]


async def test_no_answer_goes_where_the_backend_may_not_publish(broker: _Broker) -> None:
    """Neither the service nor JetStream can be made to speak to others by a reply subject."""
    targets = (
        "_INBOX_gym.x",
        "_INBOX_bank.x",
        "zh.v1.gym.payment.create",
        "zh.in.v1.gym.payment.create",
        "zh.node.v1.n1",
        "zh.relay.v1.n1.1",
        "zh.cluster.v1",
        "$JS.API.STREAM.PURGE.ZHIHUI_EVENTS",
        "$JS.API.STREAM.MSG.DELETE.ZHIHUI_EVENTS",
    )
    async with _service(broker) as service, _as(broker, "shop") as shop, _as(broker, "gym") as gym:
        streams = service.nats.jetstream()
        await streams.add_stream(name="ZHIHUI_EVENTS", subjects=["zh.evt.v1.>"])
        await streams.add_stream(name="ZHIHUI_INTAKE", subjects=["zh.in.v1.>"])
        await streams.publish("zh.evt.v1.gym.account.opened", b"event")
        await gym.nats.subscribe("_INBOX_gym.>", cb=gym.keep)
        await gym.flush()
        service.received.clear()
        for target in targets:
            await shop.nats.publish("zh.v1.shop.account.get", b"{}", reply=target)
            await shop.nats.publish("zh.in.v1.shop.payment.create", b"{}", reply=target)
        for reserved in ("_R_.a.b", "$JS.ACK.ZHIHUI_INTAKE.x.1.1.1.1.0"):
            await shop.nats.publish("zh.v1.shop.account.get", b"{}", reply=reserved)
        # The last one, so all answers to those before have been sent when it is acknowledged.
        acknowledged = await shop.nats.request(
            "zh.in.v1.shop.payment.create", b"{}", timeout=_PATIENCE_S
        )
        assert b'"stream":"ZHIHUI_INTAKE"' in acknowledged.data
        await gym.flush()
        await service.flush()
        assert {subject for _, subject in shop.denied()} == {
            "_r_.a.b",
            "$js.ack.zhihui_intake.x.1.1.1.1.0",
        }
        assert gym.received == []
        reached = {
            one.subject
            for one in service.received
            if not one.subject.startswith(("_R_.", "$JS.EVENT.", "_INBOX."))
        }
        assert reached == {"zh.v1.shop.account.get", "zh.in.v1.shop.payment.create"}
        assert (await streams.stream_info("ZHIHUI_EVENTS")).state.messages == 1
        stored = (await streams.stream_info("ZHIHUI_INTAKE")).state.messages
        assert stored == len(targets) + 1


async def test_nobody_connects_without_credentials_of_their_own(
    broker: _Broker, tmp_path: Path
) -> None:
    """No credentials, a wrong password and a key that nobody registered are refused at once."""
    stranger = tmp_path / "stranger.nk"
    write_seed_file(stranger, Nkey.generate())
    public = broker.server.public_url
    with anyio.fail_after(_PATIENCE_S):
        for url, seed_file in (
            (public, ""),
            (public.replace("//", "//node:wrong@"), ""),
            (public.replace("//", "//node@"), ""),
            (public, stranger),
        ):
            with pytest.raises(Forbidden):
                async with _connected(url, seed_file):
                    pass
        with pytest.raises(Forbidden):
            await Client(app="shop", url=public).__aenter__()
        with pytest.raises(Forbidden, match=r"missing\.nk"):
            await Client(app="shop", url=public, credentials=tmp_path / "missing.nk").__aenter__()


async def test_a_claimed_key_needs_its_signature(broker: _Broker) -> None:
    """The public key of another app, which is no secret, does not let anybody in."""

    class Impostor(SecureClient):
        def _connect_command(self) -> bytes:
            command = super()._connect_command()
            return command.replace(broker.keys["shop"].encode(), broker.keys["gym"].encode())

    impostor = Impostor()
    try:
        with pytest.raises(Forbidden):
            await impostor.connect_secure(
                broker.server.public_url,
                NatsSecurity(seed_file=str(broker.seed_file("shop"))),
                allow_reconnect=False,
            )
    finally:
        await impostor.close()


async def test_the_client_says_what_was_refused(broker: _Broker) -> None:
    """A call for another app is a typed error at once, not a timeout; its own calls go on."""
    async with _service(broker), broker.client("shop") as shop:
        assert await shop.call("account", "get", {}) == {"done": True}
        with anyio.fail_after(_PATIENCE_S / 2), pytest.raises(Forbidden, match=r"zh\.v1\.gym"):
            await shop.request_raw("zh.v1.gym.account.get", b"{}", timeout_s=_PATIENCE_S)
        assert await shop.call("account", "get", {}) == {"done": True}
        with pytest.raises(Forbidden, match="gym"):
            await Client(
                app="gym", url=broker.server.public_url, credentials=broker.seed_file("shop")
            ).__aenter__()


async def test_an_app_that_is_added_later_can_work(broker: _Broker) -> None:
    """A running server lets a new app in, to its requests, its intake and its events."""
    async with _service(broker) as service:
        await service.nats.jetstream().add_stream(name="INTAKE", subjects=["zh.in.v1.>"])
        broker.allow("shop", "gym", "park")
        await broker.reload()
        async with _as(broker, "park") as park:
            answer = await park.nats.request("zh.v1.park.a.b", b"{}", timeout=_PATIENCE_S)
            assert answer.data == _ANSWER
            answer = await park.nats.request("zh.in.v1.park.a.b", b"{}", timeout=_PATIENCE_S)
            assert b'"stream":"INTAKE"' in answer.data
            await park.nats.subscribe("zh.evt.v1.park.>", cb=park.keep)
            await park.flush()
            await service.nats.publish("zh.evt.v1.park.account.opened", b"event")
            await eventually(lambda: bool(park.received), "the event")
            assert park.denied() == set()


async def test_a_revoked_key_is_cut_off_and_refused(broker: _Broker) -> None:
    """Revoking closes the connection, and the key is good for nothing any more."""
    async with _service(broker), broker.client("shop") as shop:
        assert await shop.call("account", "get", {}) == {"done": True}
        broker.allow("gym")
        await broker.reload()

        async def refused() -> bool:
            try:
                await shop.call("account", "get", {}, timeout_s=1.0)
            except Forbidden:
                return True
            except Exception:  # noqa: BLE001 - cut off, and not told yet why
                return False
            return False

        await eventually(refused, "the call is refused", within_s=_PATIENCE_S)
        with pytest.raises(Forbidden):
            await broker.client("shop").__aenter__()


async def test_a_rotated_key_takes_over(broker: _Broker, tmp_path: Path) -> None:
    """The old key is refused and the new one works; a client that reads its file comes back."""
    async with _service(broker), broker.client("shop") as shop:
        old = tmp_path / "old.nk"
        old.write_bytes(broker.seed_file("shop").read_bytes())
        broker.allow("gym")
        broker.allow("shop", "gym", new_key=True)
        await broker.reload()
        with pytest.raises(Forbidden):
            async with _connected(broker.server.public_url, old):
                pass
        async with broker.client("shop") as renewed:
            assert await renewed.call("account", "get", {}) == {"done": True}
        del shop


async def test_others_do_not_notice_a_reload(broker: _Broker) -> None:
    """While apps come and go, another app's calls are all answered and no event of it is lost.

    In the instant of a reload NATS may say that nobody listens; nothing was begun then, and the
    client asks again.
    """
    async with _service(broker) as service, broker.client("gym") as gym, _as(broker, "gym") as ear:
        await ear.nats.subscribe("zh.evt.v1.gym.>", cb=ear.keep)
        await ear.flush()
        answered = 0
        published = 0
        stopping = False

        async def ask() -> None:
            nonlocal answered
            while not stopping:
                assert await gym.call("account", "get", {}) == {"done": True}
                answered += 1

        async def publish() -> None:
            nonlocal published
            while not stopping:
                published += 1
                await service.nats.publish("zh.evt.v1.gym.account.opened", b"%d" % published)
                await service.nats.flush()

        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(ask)
            group.start_soon(publish)
            for number in range(5):
                goal = answered + 1
                await eventually(lambda: answered >= goal, "calls go on", within_s=_PATIENCE_S)  # noqa: B023 - done before the next turn
                broker.allow("gym", *(["shop"] if number % 2 else []), f"new-{number}")
                await broker.reload()
            stopping = True
        await eventually(lambda: len(ear.received) >= published, "all events")
        assert [int(one.data) for one in ear.received] == list(range(1, published + 1))
        for connection in (gym._nats, ear.nats, service.nats):
            assert connection.is_connected
            assert connection.stats["reconnects"] == 0


async def test_the_service_serves_a_backend_with_its_own_key(
    broker: _Broker, postgres_dsn: str
) -> None:
    """A real node answers backends that know no address but the public one."""
    from zhihui.node import NodeConfig, running_node

    config = NodeConfig(name="n1", nats_url=broker.server.url, postgres_dsn=postgres_dsn)
    async with running_node(config), broker.client("shop") as shop, broker.client("gym") as gym:
        account = await shop.accounts.open(holder="Li")
        assert (await shop.accounts.get(account.account_id)).holder == "Li"
        await gym.accounts.open(holder="Wang")
        with pytest.raises(Forbidden):
            await gym.request_raw("zh.v1.shop.account.get", b"{}", timeout_s=_PATIENCE_S)
