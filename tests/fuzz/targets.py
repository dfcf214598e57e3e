"""What is fuzzed, as a port: a batch of inputs goes in, and what was wrong comes out."""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Protocol

import msgspec

__all__ = ("CORPUS", "Finding", "Tally", "Target", "read_corpus")

CORPUS = Path(__file__).parent / "corpus"


class Finding(msgspec.Struct, frozen=True):
    """An input for which a claim does not hold."""

    target: str
    data: bytes
    what: str


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """How many inputs a target got, how many it refused, and what was found."""

    target: str
    inputs: int
    refused: int
    seconds: float
    findings: tuple[Finding, ...] = ()


class Target(Protocol):
    """One edge. Made for one run; :meth:`try_all` may be called once."""

    name: str

    def inputs(self, random: Random, count: int) -> Iterator[bytes]:
        """Return inputs that are nearly right, drawn from a seed."""

    def try_all(self, inputs: Iterator[bytes]) -> Tally:
        """Give it every input; return what was wrong."""


def read_corpus(target: str) -> list[tuple[str, bytes]]:
    """Return the kept inputs of a target with their names, in order."""
    return [(path.name, path.read_bytes()) for path in sorted((CORPUS / target).glob("*"))]
