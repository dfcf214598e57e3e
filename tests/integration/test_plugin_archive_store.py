"""Archives of plugins in NATS's object store, and the same promises of its twin in memory."""

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import nats
import nats.errors
import pytest
from nats.js import JetStreamContext

from kernel.clock import SystemClock
from kernel.nats_bus import NatsBus
from kernel.plugins.archive import digest_of
from kernel.plugins.archive_store import ArchiveStore, MemoryArchiveStore
from kernel.plugins.convergence import Convergence, ConvergenceSettings
from kernel.plugins.memory_catalog import MemoryCatalog
from kernel.plugins.object_store import BUCKET, ObjectArchiveStore
from kernel.plugins.plans import plan_load, plan_promote, plan_unload
from kernel.plugins.registry import Registry
from kernel.plugins.signature import SigningKey, TrustedKeys
from schemas.errors import NotFound, NotReady
from tests.eventually import eventually
from tests.unit.plugins_host.lab import TERMS, Desk, library
from zhihui.embedded.nats_server import EmbeddedNats

pytestmark = pytest.mark.anyio

_STREAM = f"OBJ_{BUCKET}"


@asynccontextmanager
async def _jetstream(url: str) -> AsyncIterator[JetStreamContext]:
    client = await nats.connect(url)
    try:
        yield client.jetstream()
    finally:
        # nats-py flushes when it closes, and complains when the server is gone.
        with contextlib.suppress(OSError, nats.errors.Error):
            await client.close()


@pytest.fixture(params=["memory", "nats"])
async def store(
    request: pytest.FixtureRequest, module_nats_server: EmbeddedNats
) -> AsyncIterator[ArchiveStore]:
    """Either place, both with the same promises."""
    if request.param == "memory":
        yield MemoryArchiveStore()
        return
    async with _jetstream(module_nats_server.url) as jetstream:
        yield ObjectArchiveStore(lambda: jetstream)


def _bytes(size: int) -> bytes:
    return (b"0123456789abcdef" * (size // 16 + 1))[:size]


@pytest.mark.parametrize("size", [1, 128 * 1024, 128 * 1024 + 1, 8 * 1024 * 1024])
async def test_what_was_put_comes_back(store: ArchiveStore, size: int) -> None:
    """Whatever its size, byte for byte, under its digest."""
    data = _bytes(size)
    digest = await store.put(data)
    assert digest == digest_of(data)
    assert await store.get(digest) == data


async def test_putting_twice_keeps_once(store: ArchiveStore) -> None:
    """The second time nothing is written."""
    await store.put(b"once")
    before = store.statistics().stored
    assert await store.put(b"once") == digest_of(b"once")
    assert store.statistics().stored == before


async def test_what_is_not_there_is_not_found(store: ArchiveStore) -> None:
    """Never put, or deleted."""
    with pytest.raises(NotFound, match="no archive with the digest"):
        await store.get(digest_of(b"never"))
    digest = await store.put(b"for a while")
    assert await store.delete(digest)
    assert not await store.delete(digest)
    with pytest.raises(NotFound):
        await store.get(digest)
    await store.put(b"for a while")
    assert await store.get(digest) == b"for a while"


async def test_an_empty_server_has_no_archive(nats_url: str) -> None:
    """Before the first one was put there is no bucket, and none is made by looking."""
    async with _jetstream(nats_url) as jetstream:
        store = ObjectArchiveStore(lambda: jetstream)
        with pytest.raises(NotFound):
            await store.get(digest_of(b"x"))
        assert await jetstream.streams_info() == []


async def test_two_nodes_may_make_the_bucket_at_once(nats_url: str) -> None:
    """Whoever is second finds it."""
    async with _jetstream(nats_url) as one, _jetstream(nats_url) as other:
        stores = [ObjectArchiveStore(lambda: one), ObjectArchiveStore(lambda: other)]
        async with anyio.create_task_group() as tasks:
            for store in stores:
                tasks.start_soon(store.put, b"the same")
        for store in stores:
            assert await store.get(digest_of(b"the same")) == b"the same"


async def test_other_clients_read_it(module_nats_server: EmbeddedNats) -> None:
    """It is an object like any other to the tools of NATS."""
    data = _bytes(300_000)
    async with _jetstream(module_nats_server.url) as jetstream:
        digest = await ObjectArchiveStore(lambda: jetstream).put(data)
        bucket = await jetstream.object_store(BUCKET)
        with anyio.fail_after(10):
            assert (await bucket.get(digest)).data == data


async def test_a_lost_chunk_is_noticed_and_mended(module_nats_server: EmbeddedNats) -> None:
    """It is never waited for without end; putting the archive again mends it."""
    data = _bytes(400_000)
    async with _jetstream(module_nats_server.url) as jetstream:
        store = ObjectArchiveStore(lambda: jetstream)
        digest = await store.put(data)
        bucket = await jetstream.object_store(BUCKET)
        info = await bucket.get_info(digest)
        last = await jetstream.get_last_msg(_STREAM, f"$O.{BUCKET}.C.{info.nuid}")
        assert last.seq is not None
        await jetstream.delete_msg(_STREAM, last.seq)
        with anyio.fail_after(10), pytest.raises(NotReady, match="only 3 of 4 chunks"):
            await store.get(digest)
        await store.put(data)
        assert await store.get(digest) == data


async def test_spoiled_bytes_are_never_handed_out(module_nats_server: EmbeddedNats) -> None:
    """The digest is checked, whatever the broker says about itself."""
    async with _jetstream(module_nats_server.url) as jetstream:
        store = ObjectArchiveStore(lambda: jetstream)
        digest = await store.put(b"the archive")
        bucket = await jetstream.object_store(BUCKET)
        await bucket.put(digest, b"another one")
        with pytest.raises(NotReady, match="has another digest; put the archive again"):
            await store.get(digest)
        assert store.statistics().spoiled == 1
        await store.put(b"the archive")
        assert await store.get(digest) == b"the archive"


async def test_a_server_that_is_gone_is_said_to_be(nats_server: EmbeddedNats) -> None:
    """Each call ends in time, with an error that says to come back."""
    async with _jetstream(nats_server.url) as jetstream:
        store = ObjectArchiveStore(lambda: jetstream, timeout_s=0.5)
        digest = await store.put(b"x")
        await nats_server.kill()
        for call in (store.get, store.delete):
            with anyio.fail_after(5), pytest.raises(NotReady, match="the archive"):
                await call(digest)
        with anyio.fail_after(5), pytest.raises(NotReady, match="cannot keep the archive"):
            await store.put(b"y")


async def test_nodes_converge_on_what_travels_through_nats(nats_url: str) -> None:
    """Two nodes get signed archives from the broker; one that joins later gets them too."""
    key = SigningKey.generate()
    ring = TrustedKeys({"us": key.public_pem})
    clock = SystemClock()
    settings = ConvergenceSettings(interval_s=0.05, proof_every_s=0.1)
    async with NatsBus(nats_url, name="n", clock=clock) as bus:
        catalog = MemoryCatalog(ObjectArchiveStore(bus.control.jetstream))
        registries = [Registry(TERMS, clock, space=f"n{number}") for number in range(3)]
        nodes = [
            Convergence(one, catalog, clock, keys=ring, settings=settings) for one in registries
        ]

        async def load(edition: int) -> None:
            archive = library(edition)
            sha256 = await catalog.put(archive.data, key.sign(archive))
            version = archive.manifest.version
            catalog.change(lambda plan: plan_load(plan, "library", sha256, version=version))

        def promoted(count: int) -> list[int]:
            return [one.slot("library").statistics().promoted for one in registries[:count]]

        async with anyio.create_task_group() as tasks:
            for node in nodes[:2]:
                tasks.start_soon(node.run)
            await load(1)
            catalog.change(lambda plan: plan_promote(plan, "library", 1))
            await eventually(lambda: promoted(2) == [1, 1], "the first edition serves")
            await load(2)
            catalog.change(lambda plan: plan_promote(plan, "library", 2))
            tasks.start_soon(nodes[2].run)
            await eventually(lambda: promoted(3) == [2, 2, 2], "the second edition serves")
            desk = Desk(registries[2], clock)
            await desk.send("add", request_id="r", isbn="i", copies=1)
            assert (await desk.send("get", isbn="i"))["edition"] == 2
            catalog.change(lambda plan: plan_unload(plan, "library", 1))
            catalog.change(lambda plan: plan_unload(plan, "library", 2))
            await eventually(lambda: all(map(_is_empty, nodes)), "all is unloaded and gone")
            assert [one.statistics().leaked for one in nodes] == [0, 0, 0]
            tasks.cancel_scope.cancel()


def _is_empty(node: Convergence) -> bool:
    found = node.statistics()
    return found.planned == 7 and found.converged and found.unproven == 0
