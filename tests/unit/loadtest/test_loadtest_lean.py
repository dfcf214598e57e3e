"""The lean client: safe against foreign hosts and forged lines, and right about every byte."""

import asyncio

import pytest

from loadtest.lean import NO_RESPONDERS, LeanClient, LeanError, check_target

_INFO = b'INFO {"server_id":"X","max_payload":1048576}\r\n'


class _Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.aborted = False

    def write(self, data: object) -> None:
        assert isinstance(data, bytes)
        self.written += data

    def abort(self) -> None:
        self.aborted = True

    def close(self) -> None:
        pass


class _Session:
    """A client on a transport of memory, after the handshake."""

    def __init__(self) -> None:
        self.replies: list[tuple[int, bytes]] = []
        self.lost: list[Exception] = []
        self.transport = _Transport()
        self.client = LeanClient(
            lambda token, body: self.replies.append((token, body)),
            self.lost.append,
            b"CONNECT {}\r\n",
        )
        self.client.connection_made(self.transport)
        self.client.data_received(_INFO + b"PONG\r\n")
        self.inbox = self.transport.written.split(b"SUB ")[1].split(b".*")[0]
        self.transport.written = b""


@pytest.mark.parametrize(
    "url", ["nats://10.0.0.1:4222", "example.com", "nats://127.0.0.1.example.com:4222", "nats://"]
)
def test_another_host_is_refused(url: str) -> None:
    """Load goes to this machine only, unless the host is named."""
    with pytest.raises(LeanError, match="not this machine"):
        check_target(url)


def test_a_named_host_is_allowed() -> None:
    """The host that a person named is accepted, and only that one."""
    assert check_target("nats://10.0.0.1:4333", allow_host="10.0.0.1") == ("10.0.0.1", 4333)
    with pytest.raises(LeanError):
        check_target("nats://10.0.0.2", allow_host="10.0.0.1")


@pytest.mark.parametrize("url", ["127.0.0.1", "nats://localhost", "nats://user:word@127.0.0.1"])
def test_this_machine_is_allowed(url: str) -> None:
    """The loopback addresses are accepted, with the port of NATS by default."""
    assert check_target(url)[1] == 4222


@pytest.mark.anyio
@pytest.mark.parametrize(
    "subject", ["a b", "a\r\nPUB b", "a.b\n", "a..b", "", "a.*", "zh.>", "a.", "é"]
)
async def test_a_subject_that_could_forge_a_line_is_refused(subject: str) -> None:
    """Blanks, line ends, wildcards and empty tokens never reach the protocol."""
    with pytest.raises(LeanError, match="subject"):
        _Session().client.prepare(subject)


@pytest.mark.anyio
async def test_requests_of_one_turn_leave_in_one_write() -> None:
    """A request is a PUB with an inbox of its own token, and a turn's requests leave together."""
    session = _Session()
    prepared = session.client.prepare("zh.v1.bench.payment.create")
    session.client.send_nowait(prepared, 7, b"{}")
    session.client.send_nowait(prepared, 8, b"{1}")
    assert session.transport.written == b""
    await asyncio.sleep(0)
    assert session.transport.written == (
        b"PUB zh.v1.bench.payment.create %b.7 2\r\n{}\r\n"
        b"PUB zh.v1.bench.payment.create %b.8 3\r\n{1}\r\n" % (session.inbox, session.inbox)
    )


@pytest.mark.anyio
@pytest.mark.parametrize("size", [1, 2, 3, 5, 17, 1000])
async def test_replies_survive_any_split_of_the_stream(size: int) -> None:
    """Messages, also with line ends in them, are the same however the bytes arrive."""
    session = _Session()
    stream = (
        b"MSG %b.1 1 4\r\nab\r\n\r\nPING\r\nMSG %b.22 1 0\r\n\r\n"
        b"HMSG %b.3 1 18 18\r\nNATS/1.0 503\r\n\r\n  \r\n+OK\r\nMSG %b.4 1 3\r\nMSG\r\n"
    ) % ((session.inbox,) * 4)
    for start in range(0, len(stream), size):
        session.client.data_received(stream[start : start + size])
    assert session.replies == [(1, b"ab\r\n"), (22, b""), (3, NO_RESPONDERS), (4, b"MSG")]
    assert session.transport.written == b"PONG\r\n"
    assert not session.lost


@pytest.mark.anyio
async def test_an_error_of_the_server_ends_the_connection() -> None:
    """An error line is reported once, with its text, and the connection is dropped."""
    session = _Session()
    session.client.data_received(b"-ERR 'Authorization Violation'\r\n")
    session.client.connection_lost(None)
    assert [str(error) for error in session.lost] == [
        "the NATS server says -ERR 'Authorization Violation'"
    ]
    assert session.transport.aborted


@pytest.mark.anyio
async def test_a_lost_connection_is_reported() -> None:
    """A connection that the server closes is reported; one that we close is not."""
    lost, closed = _Session(), _Session()
    lost.client.connection_lost(None)
    closed.client.close()
    closed.client.connection_lost(None)
    assert [type(error) for error in lost.lost] == [ConnectionResetError]
    assert not closed.lost


@pytest.mark.anyio
async def test_a_server_with_tls_is_told_no_secret() -> None:
    """A server that asks for TLS gets neither credentials nor requests."""
    transport, lost = _Transport(), list[Exception]()
    client = LeanClient(lambda _, __: None, lost.append, b'CONNECT {"pass":"secret"}\r\n')
    client.connection_made(transport)
    client.data_received(b'INFO {"server_id":"X","tls_required":true}\r\n')
    with pytest.raises(LeanError, match="TLS"):
        await client._ready
    assert transport.written == b""
    assert transport.aborted
