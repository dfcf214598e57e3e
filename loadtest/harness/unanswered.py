"""Requests that got no answer, and what became of them: asked again under their ids after the load.

The service answers the same request id as it did the first time, so a second sending tells that it
was done, or does it now; either way it is done once, and the books can be compared.
"""

from collections.abc import Mapping
from itertools import chain, islice
from typing import Any

import anyio
import msgspec

from loadtest.harness.invariants.multiset import MultisetSum
from loadtest.harness.recorder import Recorder
from loadtest.harness.result import Resolution
from schemas.errors import Rejected, ZhihuiError
from zhihui.client import Client

__all__ = ("UNANSWERED_MAX", "UNKNOWN_IDS_MAX", "Unanswered", "add_resolutions", "resolve")

# Per process. A service that loses more than this has other worries, and they are counted.
UNANSWERED_MAX = 100_000

# In a result, for the comparison with the books.
UNKNOWN_IDS_MAX = 10_000

_AT_ONCE = 64


class _Request(msgspec.Struct, frozen=True, gc=False):
    name: str
    service: str
    verb: str
    request_id: str
    body: object
    amount_minor: int


class Unanswered:
    """The requests of one process that have no answer, up to :data:`UNANSWERED_MAX`."""

    def __init__(self) -> None:
        self.requests: list[_Request] = []
        self.forgotten = 0

    def add(
        self,
        name: str,
        service: str,
        verb: str,
        request_id: str,
        body: object,
        amount_minor: int = 0,
    ) -> None:
        """Keep one to be asked again; ``body`` is JSON bytes or what the client can encode."""
        if len(self.requests) >= UNANSWERED_MAX:
            self.forgotten += 1
        else:
            self.requests.append(_Request(name, service, verb, request_id, body, amount_minor))


async def resolve(
    client: Client, unanswered: Unanswered, *, tally_key: bytes, each_s: float, within_s: float
) -> Resolution:
    """Ask for all of them, some at a time, each for ``each_s``, until ``within_s`` is over."""
    counts = dict.fromkeys(("done", "not_done", "still_unknown"), 0)
    done = Recorder(tally_key)
    unknown = {one.request_id: one.amount_minor for one in unanswered.requests}
    left = iter(unanswered.requests)

    async def worker() -> None:
        for one in left:
            # If we are cut off, the one under way is not known.
            counts["still_unknown"] += 1
            found = await _ask(client, one, each_s)
            counts["still_unknown"] -= 1
            counts[found] += 1
            if found != "still_unknown":
                unknown.pop(one.request_id, None)
            if found == "done":
                done.acknowledged(one.request_id.encode(), one.amount_minor)

    with anyio.move_on_after(within_s):
        async with anyio.create_task_group() as tasks:
            for _ in range(min(_AT_ONCE, len(unanswered.requests))):
                tasks.start_soon(worker)
    unasked = sum(1 for _ in left)
    return Resolution(
        asked=sum(counts.values()),
        done=counts["done"],
        not_done=counts["not_done"],
        still_unknown=counts["still_unknown"] + unasked,
        not_asked=unanswered.forgotten,
        acknowledged=done.take_acknowledged(),
        unknown_ids=tuple(islice(unknown.items(), UNKNOWN_IDS_MAX)),
    )


async def _ask(client: Client, one: _Request, timeout_s: float) -> str:
    body: Any = one.body
    if isinstance(body, bytes):
        body = msgspec.json.decode(body)
    assert isinstance(body, Mapping | msgspec.Struct)
    try:
        await client.call(one.service, one.verb, body, timeout_s=timeout_s)
    except Rejected:
        return "not_done"
    except ZhihuiError:
        return "still_unknown"
    return "done"


def add_resolutions(parts: list[Resolution]) -> Resolution:
    """Return those of several processes together."""
    return Resolution(
        asked=sum(part.asked for part in parts),
        done=sum(part.done for part in parts),
        not_done=sum(part.not_done for part in parts),
        still_unknown=sum(part.still_unknown for part in parts),
        not_asked=sum(part.not_asked for part in parts),
        acknowledged=sum((part.acknowledged for part in parts), MultisetSum()),
        unknown_ids=tuple(chain.from_iterable(part.unknown_ids for part in parts))[
            :UNKNOWN_IDS_MAX
        ],
    )
