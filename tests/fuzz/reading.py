"""Targets that are read at once: bytes in, and an answer or a refusal out."""

import time
from collections.abc import Callable, Iterator
from random import Random

from schemas.errors import ERRORS, Internal, ZhihuiError
from tests.fuzz.mutation import Mutator
from tests.fuzz.targets import Finding, Tally, read_corpus

__all__ = ("ReadingTarget",)


class ReadingTarget:
    """Bytes that are read at once: the reader answers, or raises what crosses the wire."""

    name = ""

    def __init__(self, read: Callable[[bytes], object]) -> None:
        self._read = read

    def samples(self) -> list[bytes]:
        """Return sound inputs to begin with."""
        return [data for _, data in read_corpus(self.name)]

    def inputs(self, random: Random, count: int) -> Iterator[bytes]:
        """Return inputs that are nearly right."""
        mutator, samples = Mutator(random), self.samples()
        for _ in range(count):
            data = random.choice(samples)
            yield mutator.flipped(self.changed(mutator, data), samples)

    def changed(self, mutator: Mutator, data: bytes) -> bytes:
        """Change an input as its form allows, before its bytes are changed."""
        return data

    def try_all(self, inputs: Iterator[bytes]) -> Tally:
        """Read each of them."""
        began_s = time.perf_counter()
        count = refused = 0
        findings = []
        for data in inputs:
            count += 1
            try:
                self._read(data)
            except ZhihuiError as error:
                refused += 1
                if error.code not in ERRORS or isinstance(error, Internal):
                    findings.append(Finding(self.name, data, f"answers {error.code}"))
            except Exception as error:  # noqa: BLE001 - any other is what is looked for
                findings.append(Finding(self.name, data, f"raises {error!r}"))
        return Tally(
            target=self.name,
            inputs=count,
            refused=refused,
            seconds=time.perf_counter() - began_s,
            findings=tuple(findings),
        )
