"""Channels for the tests, each with both of its sides; keys are made once, as that takes time."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from actors.channels.configuration import ADAPTERS
from tests.unit.channels.wire import Wire


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for keys of all tests."""
    return tmp_path_factory.mktemp("channel-keys")


@pytest.fixture
def make_wire(tmp_path: Path, keys: Path) -> Iterator[Callable[..., Wire]]:
    """Return what opens a channel by its name; one of a stranger has other keys."""
    wires: list[Wire] = []

    def make(name: str, *, stranger: bool = False) -> Wire:
        folder = tmp_path / f"{len(wires)}"
        folder.mkdir()
        wires.append(Wire(name, folder, keys / ("stranger" if stranger else "ours")))
        return wires[-1]

    yield make
    for wire in wires:
        wire.books.close()


@pytest.fixture(params=sorted(ADAPTERS))
def wire(request: pytest.FixtureRequest, make_wire: Callable[..., Wire]) -> Wire:
    """Return each of the channels."""
    made: Wire = make_wire(request.param)
    return made
