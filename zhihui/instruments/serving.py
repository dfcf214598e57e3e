"""The instruments of one process, started before its node and stopped after it."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec

from zhihui.errors import SetupError
from zhihui.instruments.observer import Observer
from zhihui.instruments.server import Address, InstrumentsServer
from zhihui.node import RunningNode

__all__ = (
    "DEFAULT_ADDRESS",
    "NO_INSTRUMENTS",
    "TARGETS_VARIABLE",
    "Instruments",
    "InstrumentsConfig",
    "serving_instruments",
)

# Names the folder of the files that tell Prometheus where the nodes are.
TARGETS_VARIABLE = "ZHIHUI_METRICS_TARGETS"

# For nobody but this machine, and never in the way of another program.
DEFAULT_ADDRESS = "127.0.0.1:0"


class InstrumentsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``address`` is ``HOST:PORT``, ``HOST:FIRST-LAST`` for the first that is free, or ``off``.

    In ``targets`` each node leaves a file that tells Prometheus where it is.
    """

    address: str = DEFAULT_ADDRESS
    targets: str = ""


NO_INSTRUMENTS = InstrumentsConfig(address="off")


class Instruments:
    """What :func:`serving_instruments` runs."""

    def __init__(self, observer: Observer, server: InstrumentsServer | None) -> None:
        self._observer = observer
        self._server = server

    @property
    def url(self) -> str:
        """The address of the metrics, or empty when they are off."""
        return f"http://{self._server.target}/metrics" if self._server else ""

    @property
    def target(self) -> str:
        """The same as ``HOST:PORT``."""
        return self._server.target if self._server else ""

    def follow(self, running: RunningNode) -> None:
        """Tell of a node from now on: it has started."""
        self._observer.follow(running)


@contextlib.asynccontextmanager
async def serving_instruments(
    config: InstrumentsConfig, *, node: str, postgres_dsn: str
) -> AsyncIterator[Instruments]:
    """Serve metrics and health of the node that :meth:`Instruments.follow` is given.

    Raise :class:`~zhihui.errors.SetupError` when the address cannot be used.
    """
    try:
        address = Address.parse(config.address)
    except ValueError as error:
        raise SetupError(f"ZHIHUI_METRICS cannot be used: {error}.") from None
    observer = Observer(node, postgres_dsn)
    if address is None:
        yield Instruments(observer, None)
        return
    server = InstrumentsServer(address, observer)
    try:
        with _target_file(config.targets, node, server.target):
            async with anyio.create_task_group() as tasks:
                # The node stops in order after its own cancellation, and is watched meanwhile.
                scope = anyio.CancelScope(shield=True)
                tasks.start_soon(_watch, observer, scope)
                try:
                    yield Instruments(observer, server)
                finally:
                    scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(server.close)


async def _watch(observer: Observer, scope: anyio.CancelScope) -> None:
    with scope:
        await observer.run()


@contextlib.contextmanager
def _target_file(folder: str, node: str, target: str) -> Iterator[None]:
    """Leave a file in the form that Prometheus's ``file_sd_configs`` read, while this runs."""
    if not folder:
        yield
        return
    path = Path(folder) / f"{node}.json"
    entry = [{"targets": [target], "labels": {"node": node}}]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # In one step, for it may be read at any moment.
        draft = path.with_suffix(".tmp")
        draft.write_bytes(msgspec.json.encode(entry) + b"\n")
        draft.replace(path)
    except OSError as error:
        raise SetupError(
            f"{TARGETS_VARIABLE}: {path} cannot be written: {error.strerror}."
        ) from None
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
