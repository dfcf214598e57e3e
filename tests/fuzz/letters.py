"""The form of an input in the corpus: a first line, header lines, an empty line, and a body.

It reads like a message on the wire, so a person can write one, and any bytes are some input.
"""

import msgspec

__all__ = ("Letter", "parse_letter")


class Letter(msgspec.Struct, frozen=True):
    """``first`` is a subject or a channel; the lines and the body may hold any bytes."""

    first: str
    lines: tuple[bytes, ...] = ()
    body: bytes = b""

    def encode(self) -> bytes:
        """Return the bytes of which :func:`parse_letter` makes the same letter."""
        head = b"\n".join((self.first.encode("latin-1", "replace"), *self.lines))
        return head + b"\n\n" + self.body

    def nats_headers(self) -> bytes:
        """Return the lines as the block of headers of a NATS message."""
        if not self.lines:
            return b""
        return b"NATS/1.0\r\n" + b"\r\n".join(self.lines) + b"\r\n\r\n"

    def http_headers(self) -> dict[str, str]:
        """Return the lines as the headers of an HTTP request, their names in lower case."""
        found = {}
        for line in self.lines:
            name, _, value = line.decode("latin-1").partition(":")
            found[name.strip().lower()] = value.strip()
        return found


def parse_letter(data: bytes) -> Letter:
    """Return the letter that any bytes are."""
    head, _, body = data.partition(b"\n\n")
    first, *lines = head.split(b"\n")
    return Letter(first.decode("latin-1"), tuple(lines), body)
