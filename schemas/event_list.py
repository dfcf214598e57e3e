"""Reading one's events by asking, for those who cannot read the stream."""

from typing import Annotated

import msgspec
from msgspec import Meta

from schemas.events import CloudEvent

__all__ = ("EVENTS_LIMIT_MAX", "EventList", "ListEvents")

# A page of usual events stays far below a NATS message of 1 MiB; the answer is also cut by size.
EVENTS_LIMIT_MAX = 500


class ListEvents(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read the caller's events in order, those after the place ``after``, at most ``limit``.

    0 is the beginning; go on with ``next_after`` of the page before.
    """

    after: Annotated[int, Meta(ge=0, le=2**53)] = 0
    limit: Annotated[int, Meta(ge=1, le=EVENTS_LIMIT_MAX)] = 100

    @property
    def place(self) -> str:
        """The key of the actor that answers: any will do, so callers are spread by their place."""
        return str(self.after)


class EventList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of events, the same as in the stream. A page may be empty though others follow.

    ``more`` tells whether there may be more at ``next_after`` already.
    """

    events: list[CloudEvent]
    next_after: int
    more: bool
