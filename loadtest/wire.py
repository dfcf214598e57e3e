"""Bytes on the wire: what each server's TCP connections carried, as the kernel counted it.

Linux tells of every connection through ``sock_diag``, without privileges. Elsewhere nothing is
told. A connection takes its counts with it when it ends, so only those that live through a window
are counted in it, which is nearly all there is here: clients and nodes keep theirs.
"""

import socket
import struct
from collections.abc import Iterator

import msgspec

__all__ = ("WireBytes", "read_wire_bytes")

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_REQUEST_AND_DUMP = 0x301
_NLMSG_ERROR = 2
_NLMSG_DONE = 3
_INET_DIAG_INFO = 2
_TCP_ESTABLISHED = 1

_HEADER = struct.Struct("=LHHLL")
# Family, protocol, what to tell, padding, states; then the id, all of which is zero: any.
_WANTED = struct.Struct("=BBBBL48x")
_MESSAGE_BYTES = 72
_SOURCE_PORT = slice(4, 6)
_ATTRIBUTE = struct.Struct("=HH")

# In `struct tcp_info`, since Linux 4.1: bytes acknowledged by the other side, bytes received.
_COUNTS_AT = 120
_COUNTS = struct.Struct("=QQ")

_TIMEOUT_S = 2.0
_RECEIVE_BYTES = 1 << 18


class WireBytes(msgspec.Struct, frozen=True, kw_only=True):
    """What a server sent and received over the connections that it has now, without headers."""

    sent: int = 0
    received: int = 0

    @property
    def both(self) -> int:
        """Return the bytes of both directions."""
        return self.sent + self.received


def read_wire_bytes(*ports: int) -> dict[int, WireBytes] | None:
    """Return the bytes by the server's port, None where the kernel does not tell."""
    found = dict.fromkeys(ports, WireBytes())
    try:
        for family in (socket.AF_INET, socket.AF_INET6):
            for port, sent, received in _connections(family):
                if port in found:
                    one = found[port]
                    found[port] = WireBytes(sent=one.sent + sent, received=one.received + received)
    except (OSError, AttributeError):
        return None
    return found


def _connections(family: int) -> Iterator[tuple[int, int, int]]:
    """Yield local port, bytes sent and bytes received of each connection."""
    wanted = _WANTED.pack(
        family, socket.IPPROTO_TCP, 1 << (_INET_DIAG_INFO - 1), 0, 1 << _TCP_ESTABLISHED
    )
    header = _HEADER.pack(_HEADER.size + len(wanted), _SOCK_DIAG_BY_FAMILY, _REQUEST_AND_DUMP, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as channel:
        channel.settimeout(_TIMEOUT_S)
        channel.send(header + wanted)
        while True:
            data = channel.recv(_RECEIVE_BYTES)
            position = 0
            while position + _HEADER.size <= len(data):
                length, kind, _, _, _ = _HEADER.unpack_from(data, position)
                if kind == _NLMSG_DONE:
                    return
                if kind == _NLMSG_ERROR:
                    raise OSError("the kernel does not tell of connections")
                body = data[position + _HEADER.size : position + length]
                counts = _counts(body)
                if counts is not None:
                    port = int.from_bytes(body[_SOURCE_PORT], "big")
                    yield port, *counts
                position += _aligned(length)


def _counts(body: bytes) -> tuple[int, int] | None:
    position = _MESSAGE_BYTES
    while position + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, position)
        if length < _ATTRIBUTE.size:
            return None
        at = position + _ATTRIBUTE.size + _COUNTS_AT
        if kind == _INET_DIAG_INFO and at + _COUNTS.size <= position + length:
            sent, received = _COUNTS.unpack_from(body, at)
            return sent, received
        position += _aligned(length)
    return None


def _aligned(length: int) -> int:
    return (length + 3) & ~3
