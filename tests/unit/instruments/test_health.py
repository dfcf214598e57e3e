"""The three questions about a node, and the server that answers them."""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest

from tests.unit.instruments.lab import made_node, observer_of
from zhihui.errors import SetupError
from zhihui.instruments.health import STALE_S, livez, readyz, startupz
from zhihui.instruments.observer import HUNG_S, Observer
from zhihui.instruments.server import CLIENTS_MAX, Address, InstrumentsServer


@contextmanager
def _serving(observer: Observer, ports: str = "0") -> Iterator[InstrumentsServer]:
    address = Address.parse(f"127.0.0.1:{ports}")
    assert address is not None
    server = InstrumentsServer(address, observer)
    try:
        yield server
    finally:
        server.close()


def _get(server: InstrumentsServer, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _ready(observer: Observer, *, ready: bool = True) -> None:
    assert observer.snapshot is not None
    statistics = msgspec.structs.replace(observer.snapshot.statistics, ready=ready)
    observer.snapshot = msgspec.structs.replace(observer.snapshot, statistics=statistics)


def test_a_node_that_starts_lives_and_is_not_ready() -> None:
    """Before the start it must neither be restarted nor be sent requests."""
    observer = Observer("n1", "")
    assert livez(observer).ok
    assert not startupz(observer).ok
    assert not readyz(observer).ok


def test_a_node_that_lost_a_server_is_not_ready_and_lives() -> None:
    """Being cut off says so, with the reason, and is no reason for a restart."""
    observer = observer_of(made_node())
    _ready(observer, ready=False)
    verdict = readyz(observer)
    assert not verdict.ok
    assert "Postgres does not answer" in verdict.reasons
    assert livez(observer).ok
    assert startupz(observer).ok
    _ready(observer)
    assert readyz(observer).ok


def test_a_loop_that_hangs_is_not_ready_and_then_does_not_live() -> None:
    """What was published long ago is not believed; a loop that never turns is to be restarted."""
    observer = observer_of(made_node())
    _ready(observer)
    assert observer.snapshot is not None
    late = msgspec.structs.replace(observer.snapshot, taken_s=observer.snapshot.taken_s - STALE_S)
    observer.snapshot = late
    assert "said nothing" in readyz(observer).reasons[0]
    assert livez(observer).ok
    observer.turned_s -= HUNG_S
    assert not livez(observer).ok


def test_the_server_answers_without_the_loop() -> None:
    """With no loop running, each question is answered with the status that a probe acts on."""
    observer = observer_of(made_node())
    _ready(observer)
    with _serving(observer) as server:
        assert _get(server, "/livez") == (200, b'{"ok":true,"reasons":[]}\n')
        assert _get(server, "/readyz?verbose")[0] == 200
        observer.turned_s -= HUNG_S
        status, body = _get(server, "/livez")
        assert status == 503
        assert "has not turned" in json.loads(body)["reasons"][0]
        assert _get(server, "/metrics")[0] == 200
        status, body = _get(server, "/")
        assert status == 404
        assert b"/readyz" in body


def test_a_page_that_cannot_be_rendered_is_an_error_and_counted() -> None:
    """A fault of the instruments is an answer with 500, and the next questions are answered."""
    observer = observer_of(made_node())
    assert observer.snapshot is not None
    observer.snapshot = msgspec.structs.replace(observer.snapshot, operations=(None,))
    with _serving(observer) as server:
        assert _get(server, "/metrics")[0] == 500
        assert observer.failures == 1
        assert _get(server, "/livez")[0] == 200


def test_one_client_too_many_is_turned_away() -> None:
    """Clients that hold their connections take no more than their share of threads."""
    with _serving(observer_of(made_node())) as server:
        held = []
        try:
            for _ in range(CLIENTS_MAX):
                held.append(socket.create_connection(("127.0.0.1", server.port), timeout=5))
                held[-1].sendall(b"GET /livez HTTP/1.1\r\n\r\n")
                assert held[-1].recv(4096).startswith(b"HTTP/1.1 200")
            with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
                _get(server, "/livez")
        finally:
            for one in held:
                one.close()


def test_the_first_free_port_of_several_is_taken() -> None:
    """Nodes of one machine share a range; when it is used up, the error says what to do."""
    with _serving(Observer("n1", "")) as first:
        taken = first.port
        try:
            with _serving(Observer("n2", ""), f"{taken}-{taken + 5}") as second:
                assert taken < second.port <= taken + 5
        except SetupError:
            pytest.skip("other programs have the next five ports")
        with pytest.raises(SetupError, match=f"port {taken}: .*ZHIHUI_METRICS"):
            InstrumentsServer(_address(taken), Observer("n3", ""))


def _address(port: int) -> Address:
    return Address(host="127.0.0.1", first_port=port, last_port=port)


@pytest.mark.parametrize(
    "text",
    ["", "9464", ":9464", "host:", "host:x", "host:9-8", "host:1-99", "host:70000", "host:1-"],
)
def test_an_address_that_makes_no_sense_is_refused(text: str) -> None:
    """What is neither an address nor `off` is an error, not a default."""
    with pytest.raises(ValueError, match=r"HOST:PORT|ports"):
        Address.parse(text)


def test_addresses_are_read() -> None:
    """A port, a range and an IPv6 address are taken; `off` is none."""
    assert Address.parse("off") is None
    assert Address.parse("10.0.0.7:9464-9471") == Address(
        host="10.0.0.7", first_port=9464, last_port=9471
    )
    address = Address.parse("[::1]:0")
    assert address is not None
    assert address.host == "::1"
