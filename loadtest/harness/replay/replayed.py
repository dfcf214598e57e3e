"""The scenario that sends a recording again; ``zhihui load replay`` runs it.

Each request goes to the service and verb that it was recorded for, with its body as it was, but for
the request id: under its old one the service would only repeat its old answer. Ids that the
service itself gave out meanwhile (of a payment that is refunded later) are sent as they were, and
mean something only to the books that they come from, or a copy of them.
"""

from itertools import islice
from pathlib import Path

from loadtest.harness.flows import Flow
from loadtest.harness.replay.requests import requests_of

__all__ = ("Replayed",)


class Replayed(Flow):
    """One after the other, as they came."""

    many = True
    # Of a process that has nothing to send.
    service, verb = "payment", "create"

    def prepare(self) -> None:
        """Read this process's share of the recording, and find the request ids in the bodies."""
        requests = requests_of(Path(self.settings["recording"]), self.settings["app"])
        self._requests = list(islice(requests, self.share, None, self.of))
        self._next = 0
        if self._requests:
            self.service, self.verb = self._requests[0].service, self._requests[0].verb

    def body(self, request_id: str) -> bytes:
        """Return the next body; after the last one it begins again."""
        one = self._requests[self._next % len(self._requests)]
        self._next += 1
        self.service, self.verb = one.service, one.verb
        self.amount_minor = one.amount_minor
        self.mutates = one.tail is not None
        return one.body(request_id)
