"""A service that answers at once, for measurements of the harness itself.

``python -m loadtest.harness.echo --url …`` answers every request to ``zh.v1.*.probe.*`` until its
input ends. It costs some microseconds a request, so that what is measured is the generator.
"""

import argparse
import asyncio
import sys

import uvloop

from loadtest.lean import LeanClient

__all__ = ("Echo", "main")

_SUBJECTS = b"zh.v1.*.probe.*"
_ANSWER = b'{"ok":true,"result":{}}'
_CONNECT_S = 10.0


class Echo(LeanClient):
    """A lean client that answers instead of asking."""

    def listen(self) -> None:
        """Subscribe to what is to be answered."""
        self._write_control(b"SUB %b 2\r\n" % _SUBJECTS)

    def _message(self, data: bytes, position: int, end: int, *, headers: bool) -> int:
        words = data[position:end].split()
        after = end + 2 + int(words[-1]) + 2
        if len(data) < after:
            return -1
        # MSG <subject> <sid> <reply to> <bytes>, and HMSG with two numbers at its end.
        reply = words[-3] if headers else words[-2]
        out = self._out
        if not out:
            self._loop.call_soon(self._flush)
        out.append(b"PUB %b %d\r\n%b\r\n" % (reply, len(_ANSWER), _ANSWER))
        return after


async def _serve(url: str) -> None:
    lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    echo = await Echo.connect(
        url,
        on_reply=lambda _token, _body: None,
        on_lost=lost.set_exception,
        timeout_s=_CONNECT_S,
    )
    assert isinstance(echo, Echo)
    echo.listen()
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(_wait(lost))
        await reader.read()
        watching.cancel()
    echo.close()


async def _wait(lost: asyncio.Future[None]) -> None:
    await lost


def main() -> int:
    """Serve until the input ends."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.harness.echo", description=__doc__)
    parser.add_argument("--url", required=True, help="NATS server; this machine only")
    uvloop.run(_serve(parser.parse_args().url))
    return 0


if __name__ == "__main__":
    sys.exit(main())
