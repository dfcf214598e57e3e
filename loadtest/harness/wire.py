"""What the coordinating process and those that make load say to each other, over pipes.

Each message is MessagePack behind its length in four bytes. Moments are ``time.perf_counter_ns``,
which all processes of a machine share where it is the monotonic clock.
"""

import asyncio
import struct
from typing import Any

import msgspec

from loadtest.harness.claims import ClaimCount
from loadtest.harness.invariants.multiset import MultisetSum
from loadtest.harness.model import NameSample
from loadtest.harness.plan import RunPlan
from loadtest.harness.result import Resolution

__all__ = (
    "Assignment",
    "Begin",
    "Command",
    "Drained",
    "Finished",
    "Interval",
    "Mark",
    "Ready",
    "Report",
    "Resolve",
    "SetRate",
    "SetUsers",
    "Stop",
    "Troubled",
    "decode_command",
    "decode_report",
    "frame",
    "read_frame",
)

# One second's histograms of 200 names are some megabytes.
_FRAME_BYTES_MAX = 256 * 1024 * 1024

_LENGTH = struct.Struct("!I")


class Assignment(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What one process is to do; it is number ``share`` of ``of``."""

    run_id: str
    plan: RunPlan
    url: str
    share: int
    of: int
    # Whether a shape decides about users or rate, second by second.
    shaped: bool
    data: Any = None


class Begin(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Start the load."""

    start_ns: int


class SetUsers(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Let there be ``users`` in all processes together."""

    users: int
    spawn_rate: float


class SetRate(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Let ``rate`` arrivals a second come, in all processes together."""

    at_ns: int
    rate: float


class Mark(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Begin a phase."""

    at_ns: int
    name: str
    measured: bool


class Stop(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """End the load at ``at_ns`` and drain; a later word on the end replaces an earlier one."""

    at_ns: int


class Resolve(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Ask again for what got no answer, and end."""

    within_s: float


Command = Assignment | Begin | SetUsers | SetRate | Mark | Stop | Resolve


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Connected and prepared. ``exact`` tells whether the kernel's timer is used."""

    exact: bool


class Interval(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """One second of one process; the last one is shorter or longer."""

    index: int
    seconds: float
    names: tuple[NameSample, ...]
    users: int
    target_rate: float | None
    in_flight: int
    cpu_s: float
    memory_bytes: int
    late: int
    acknowledged: MultisetSum


class Drained(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Nothing is under way any more."""


class Finished(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The last word of a process; ``errors`` are those of the scenario's own code, and how many."""

    resolution: Resolution
    claims: tuple[ClaimCount, ...]
    errors: dict[str, int]


class Troubled(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The process cannot go on; ``usage`` says that the scenario is to be mended."""

    message: str
    usage: bool = False


Report = Ready | Interval | Drained | Finished | Troubled

_encoder = msgspec.msgpack.Encoder()
_command_decoder: msgspec.msgpack.Decoder[Command] = msgspec.msgpack.Decoder(Command)
_report_decoder: msgspec.msgpack.Decoder[Report] = msgspec.msgpack.Decoder(Report)


def frame(message: Command | Report) -> bytes:
    """Return a message as it goes over the pipe."""
    body = _encoder.encode(message)
    return _LENGTH.pack(len(body)) + body


async def read_frame(reader: asyncio.StreamReader) -> bytes | None:
    """Return the next message's bytes, None at the end of the pipe."""
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        assert length <= _FRAME_BYTES_MAX
        return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


def decode_command(body: bytes) -> Command:
    """Read what the coordinating process said."""
    return _command_decoder.decode(body)


def decode_report(body: bytes) -> Report:
    """Read what a process that makes load said."""
    return _report_decoder.decode(body)
