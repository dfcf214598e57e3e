"""Flows: requests made without a user's Python, for rates that users could not reach."""

import random
from collections.abc import Mapping
from typing import Any, ClassVar

__all__ = ("Flow",)


class Flow:
    """One kind of request for ``--engine lean``. Subclass it and write :meth:`body`.

    One object in each process makes all its requests; everything that takes time belongs into
    :meth:`prepare`. ``weight`` is how many of all requests are of this flow, relative to the
    others. The figures go under ``name``, by default ``service.verb``.
    """

    service: str = ""
    verb: str = ""
    name: str = ""
    weight: ClassVar[int] = 1
    # Whether :meth:`body` sets ``service`` and ``verb`` anew for each request.
    many: ClassVar[bool] = False
    # Whether the request that the last body makes changes anything; a read has no id to ask for.
    mutates: bool = True
    # What the last body pays, in fen, so that the books can be compared with all acknowledged.
    amount_minor: int = 0

    def __init__(
        self, data: Any, settings: Mapping[str, str], rng: random.Random, *, share: int, of: int
    ) -> None:
        self.data = data
        self.settings = settings
        self.random = rng
        # This process is number ``share`` of ``of``, and makes every ``of``-th arrival.
        self.share, self.of = share, of

    def prepare(self) -> None:
        """Do what takes time, once and before the load begins."""

    def body(self, request_id: str) -> bytes:
        """Return the JSON of the next request, which must hold ``request_id``."""
        raise NotImplementedError

    def check(self, body: bytes, answer: bytes) -> str:
        """Return what is wrong with the answer to a request that was ok, "" when nothing is.

        It is only called, and the bodies are only kept, where a subclass has it.
        """
        return ""
