"""Reads of an app's events from the outbox, page by page, as committed."""

from datetime import datetime
from typing import Any, ClassVar

import msgspec

from kernel.actor import BatchActor, Delivery
from kernel.store import Query, Store, Where
from schemas.errors import ZhihuiError
from schemas.event_list import ListEvents
from schemas.events import EVENT_TYPE_PREFIX, encode_cloud_event, event_id

__all__ = ("PAGE_BYTES_MAX", "WINDOW", "EventQueryActor")

# Events looked at for one page, those of other apps among them. There is no index by app: a page is
# a walk over a piece of the primary key, and this bounds the walk to a few milliseconds.
WINDOW = 10_000
# An answer must fit into a frame between nodes, which has 768 KiB.
PAGE_BYTES_MAX = 512 * 1024

_COLUMNS = ("seq", "type", "subject", "data", "at")


class EventQueryActor(BatchActor):
    """Answer ``event.list`` from the read pool."""

    kind = "event_query"
    accepts: ClassVar[dict[str, type[msgspec.Struct]]] = {"event.list": ListEvents}

    def __init__(self, store: Store) -> None:
        self._store = store
        self._decoder = msgspec.msgpack.Decoder(ListEvents)

    async def receive_batch(self, deliveries: list[Delivery]) -> None:
        """Answer each read."""
        # Numbers are given in the order of the commits by the one writer, so all up to the newest
        # that can be seen now can be seen by each read after it.
        newest = (await self._store.position()).event_seq
        for delivery in deliveries:
            request = self._decoder.decode(delivery.envelope.body)
            try:
                delivery.reply(await self._page(delivery.envelope.app, request, newest))
            except ZhihuiError as error:
                delivery.fail(error)

    async def _page(self, app: str, request: ListEvents, newest: int) -> bytes:
        after, limit = request.after, request.limit
        end = min(after + WINDOW, newest)
        rows = await self._rows(app, after, end, limit) if end > after else []
        events: list[bytes] = []
        size = 0
        for row in rows:
            event = _cloud_event(app, *row)
            size += len(event)
            if events and size > PAGE_BYTES_MAX:
                break
            events.append(event)
        if len(events) < len(rows) or len(rows) == limit:
            next_after = rows[len(events) - 1][0]
        else:
            next_after = max(end, after)
        more = b"true" if next_after < newest else b"false"
        return b'{"events":[%b],"next_after":%d,"more":%b}' % (b",".join(events), next_after, more)

    async def _rows(self, app: str, after: int, end: int, limit: int) -> list[tuple[Any, ...]]:
        return await self._store.fetch(
            Query(
                table="event",
                columns=_COLUMNS,
                where=(Where("app", "=", app), Where("seq", ">", after), Where("seq", "<=", end)),
                order_by=("seq",),
                limit=limit,
            )
        )


def _cloud_event(app: str, seq: int, type_: str, subject: str, data: str, at: datetime) -> bytes:
    return encode_cloud_event(
        event_id=event_id(seq),
        source=f"/zhihui/{app}",
        event_type=f"{EVENT_TYPE_PREFIX}{type_}",
        subject=subject,
        time=at,
        data_json=data,
    )
