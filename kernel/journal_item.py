"""What the journal has in hand: one change or one chain of them, and who is to be answered."""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

import msgspec

from kernel.actor import Delivery
from kernel.book import Book
from kernel.request_memory import RequestKey
from schemas.change import Change, LinkedChanges
from schemas.errors import DeadlineExceeded, InvalidField, StaleOwner

__all__ = (
    "CHAIN_MAX",
    "JOURNAL_LINKED_TYPE",
    "JOURNAL_TYPE",
    "ItemReader",
    "JournalItem",
    "chain_item",
    "change_item",
    "changed",
    "keys",
    "missing_of",
    "moved",
)

# Far below what is remembered of late, so that a chain is always known as a whole, and few enough
# for one frame.
CHAIN_MAX = 256

JOURNAL_TYPE = "change"
JOURNAL_LINKED_TYPE = "changes"


class JournalItem:
    """One change on its way: the delivery to answer, and the moves of its alternatives.

    A chain is an item with ``links``, items of its own; its other parts are those of the first.
    ``doubtful`` says that a commit of it went unheard. ``collisions`` counts the commits of it that
    were in the way of what stands, and ``fault`` is why it alone cannot be written.
    """

    __slots__ = ("change", "collisions", "delivery", "doubtful", "fault", "links", "moves")

    def __init__(
        self, delivery: Delivery, change: Change, moves: list[Any],
        links: "tuple[JournalItem, ...]" = (),
    ) -> None:  # fmt: skip
        self.delivery = delivery
        self.change = change
        self.moves = moves
        self.links = links
        self.doubtful = False
        self.collisions = 0
        self.fault: Exception | None = None

    def changes(self) -> tuple[Change, ...]:
        """Return the change, or all changes of the chain."""
        return tuple(link.change for link in self.links) if self.links else (self.change,)


class ItemReader:
    """Makes items of what comes to the journal."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._decode = msgspec.msgpack.Decoder(Change).decode
        self._decode_chain = msgspec.msgpack.Decoder(LinkedChanges).decode

    def read(self, delivery: Delivery) -> JournalItem:
        """Return the item; raise :class:`InvalidField` when it is a chain that is none."""
        body = delivery.envelope.body
        if delivery.envelope.type == JOURNAL_TYPE:
            return change_item(delivery, self._decode(body), self._book)
        return chain_item(delivery, self._decode_chain(body).changes, self._book)


def change_item(delivery: Delivery, change: Change, book: Book) -> JournalItem:
    """Return the item of a change."""
    return JournalItem(delivery, change, [book.decode(one.moves) for one in change.alternatives])


def chain_item(delivery: Delivery, changes: tuple[Change, ...], book: Book) -> JournalItem:
    """Return the item of a chain; raise :class:`InvalidField` when it is none.

    Its members are known again as members of this chain only: the digest of each covers all. So
    none of them can be taken for the same change sent alone.
    """
    if not 1 <= len(changes) <= CHAIN_MAX:
        raise InvalidField(f"a chain has 1 to {CHAIN_MAX} changes", field="changes")
    if len({(change.app, change.request_id) for change in changes}) < len(changes):
        raise InvalidField("each change of a chain has an id of its own", field="changes")
    whole = blake2b(digest_size=16)
    for change in changes:
        whole.update(_framed(change.app) + _framed(change.request_id) + change.digest)
    links = []
    for number, change in enumerate(changes):
        digest = blake2b(whole.digest() + number.to_bytes(4, "big"), digest_size=16).digest()
        links.append(change_item(delivery, msgspec.structs.replace(change, digest=digest), book))
    moves = [one for link in links for one in link.moves]
    return JournalItem(delivery, links[0].change, moves, tuple(links))


def _framed(text: str) -> bytes:
    encoded = text.encode()
    return len(encoded).to_bytes(4, "big") + encoded


def keys(waiting: list[JournalItem]) -> list[RequestKey]:
    """Return the idempotency keys of all changes."""
    return [(change.app, change.request_id) for item in waiting for change in item.changes()]


def missing_of(book: Book, items: Iterable[JournalItem]) -> set[str]:
    """Return the ids that the book needs for these changes and does not have in memory."""
    return {name for item in items for moves in item.moves for name in book.missing(moves)}


def changed(item: JournalItem) -> StaleOwner | DeadlineExceeded:
    """Return what the one who asked is told to have it decide again, on the state as it is now."""
    if item.doubtful:
        return moved(item)
    return StaleOwner("the state was changed by another node meanwhile")


def moved(item: JournalItem) -> StaleOwner | DeadlineExceeded:
    """Return what the one who asked is told when the journal, or its sender, has moved.

    After a commit that went unheard nobody can say that nothing was committed.
    """
    if item.doubtful:
        return DeadlineExceeded(
            "the store was lost during the commit; the outcome is not known",
            retry_after_s=0.1,
        )
    return StaleOwner("ownership moved to another node; nothing was committed", retry_after_s=0.1)
