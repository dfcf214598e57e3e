"""Reconciliation of the channels: read both books, ask about what is unsure, post what matches."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import aiohttp
import asyncpg
import msgspec

from actors.channels.comparison import BookLine, Comparison, Difference, OurOrder, compare
from actors.channels.orders import expected_account, suspense_account
from schemas.channels import (
    RECONCILE_LINES_MAX,
    ChannelReconciled,
    OrderOutcome,
    RecheckChannelOrder,
    ReconcileChannel,
    StatementLine,
)
from schemas.errors import ZhihuiError
from schemas.subjects import OPERATOR_APP
from zhihui.client import Client
from zhihui.errors import ServerUnreachable

__all__ = ("FETCH_WITHIN_S", "ChannelResult", "Progress", "Reconciler")

_BEIJING = ZoneInfo("Asia/Shanghai")
# A day of a large merchant is some hundred megabytes; a minute brings them over a bad line.
FETCH_WITHIN_S = 60.0
# A recheck asks the channel itself, which may take its whole deadline.
_RECHECK_WITHIN_S = 15.0

_ORDERS = """
SELECT order_id, payment_id, kind, reference, amount_minor, state, reconciled_at
  FROM zhihui.channel_order
 WHERE channel = $1
"""
_OF_DAY = """
   AND (reference = ANY($2) OR settled_at >= $3 AND settled_at < $4)
"""
_BALANCE = "SELECT posted_minor FROM zhihui.balance WHERE account_id = $1"
_IN_SUSPENSE = """
SELECT coalesce(sum(amount_minor) FILTER (WHERE kind = 'pay' AND state = 'open'), 0)
     + coalesce(sum(amount_minor) FILTER (WHERE kind = 'refund' AND state IN ('open', 'failed')), 0)
  FROM zhihui.channel_order WHERE channel = $1
"""

Progress = Callable[[str, str, int, int], None]


class _Statement(msgspec.Struct, kw_only=True):
    lines: tuple[BookLine, ...]


class ChannelResult(msgspec.Struct, frozen=True, kw_only=True):
    """What reconciling one channel came to; amounts in minor units.

    ``posted`` are lines posted now. ``suspense_minor`` is the account's balance, which must be the
    sum of what is not determined; ``expected_minor`` is zero once everything is settled and posted.
    ``remarks`` name what differs.
    """

    channel: str
    lines: int
    matched: int
    posted: int
    rechecked: int
    missing_here: int
    missing_there: int
    different: int
    open: int
    suspense_minor: int
    expected_minor: int
    remarks: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Tell whether nothing differs."""
        return not self.remarks


class Reconciler:
    """Reconcile channels one after another; ``progress`` is told what is being done."""

    def __init__(
        self, statement_url: str, *, nats_url: str, postgres_dsn: str, progress: Progress
    ) -> None:
        self._statement_url = statement_url
        self._nats_url = nats_url
        self._dsn = postgres_dsn
        self._progress = progress

    async def run(
        self, channels: Sequence[str], day: date | None, *, post: bool
    ) -> list[ChannelResult]:
        """Return what became of each channel, of one day or of everything.

        Raise :class:`~zhihui.errors.ServerUnreachable` when a channel does not hand over its books.
        """
        connection = await asyncpg.connect(self._dsn)
        try:
            async with Client(
                app=OPERATOR_APP, url=self._nats_url, timeout_s=_RECHECK_WITHIN_S
            ) as client:
                return [await self._channel(connection, client, one, day, post) for one in channels]
        except ZhihuiError as error:
            raise ServerUnreachable(
                f"the service cannot be asked: {error.message} ({error.code})"
            ) from error
        finally:
            await connection.close()

    async def _channel(
        self,
        connection: "asyncpg.Connection[asyncpg.Record]",
        client: Client,
        channel: str,
        day: date | None,
        post: bool,
    ) -> ChannelResult:
        self._progress(channel, "reading", 0, 1)
        lines = await self._lines(channel, day)
        compared = compare(lines, await _orders(connection, channel, lines, day))
        rechecked = posted = 0
        if post:
            unsure = [one for one in compared.differences if one.can_settle]
            rechecked = await self._recheck(client, channel, unsure)
            if rechecked:
                # A late payment makes a refund, which the channel's books get as well.
                lines = await self._lines(channel, day)
                compared = compare(lines, await _orders(connection, channel, lines, day))
            posted = await self._post(client, channel, compared.unposted)
        return await _result(connection, channel, day, lines, compared, posted, rechecked)

    async def _lines(self, channel: str, day: date | None) -> tuple[BookLine, ...]:
        url = self._statement_url.format(channel=channel)
        if day is not None:
            url += f"{'&' if '?' in url else '?'}day={day.isoformat()}"
        timeout = aiohttp.ClientTimeout(total=FETCH_WITHIN_S)
        try:
            async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as reply:
                body = await reply.read()
                if reply.status != 200:
                    raise ServerUnreachable(f"the books of {channel}: {url} says {reply.status}")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise ServerUnreachable(
                f"the books of {channel} cannot be read from {url}: {error}"
            ) from error
        return msgspec.json.decode(body, type=_Statement).lines

    async def _recheck(self, client: Client, channel: str, unsure: list[Difference]) -> int:
        """Ask about orders of which the channel has the money; return how many are settled now."""
        settled = 0
        for number, one in enumerate(unsure):
            self._progress(channel, "asking about", number, len(unsure))
            assert one.order is not None
            if one.order.kind != "pay":
                continue
            request = RecheckChannelOrder(
                request_id=client.new_request_id(),
                payment_id=one.order.payment_id,
                order_id=one.order.order_id,
            )
            outcome = await client.typed_call("channel", "recheck", request, OrderOutcome)
            settled += outcome.state in ("paid", "paid_late")
        return settled

    async def _post(self, client: Client, channel: str, unposted: tuple[BookLine, ...]) -> int:
        posted = 0
        for batch in _batches(unposted):
            self._progress(channel, "posting", posted, len(unposted))
            lines = tuple(
                StatementLine(
                    reference=one.reference,
                    kind="refund" if one.kind == "refund" else "pay",
                    amount_minor=one.amount_minor,
                )
                for one in batch
            )
            # The rows themselves see to it that nothing is posted twice, should a run be cut off.
            request = ReconcileChannel(
                request_id=client.new_request_id(), channel=channel, lines=lines
            )
            answer = await client.typed_call("channel", "reconcile", request, ChannelReconciled)
            posted += answer.posted
        return posted


def _batches(lines: tuple[BookLine, ...]) -> Iterator[tuple[BookLine, ...]]:
    for start in range(0, len(lines), RECONCILE_LINES_MAX):
        yield lines[start : start + RECONCILE_LINES_MAX]


async def _orders(
    connection: "asyncpg.Connection[asyncpg.Record]",
    channel: str,
    lines: tuple[BookLine, ...],
    day: date | None,
) -> list[OurOrder]:
    if day is None:
        rows = await connection.fetch(_ORDERS, channel)
    else:
        begin = datetime.combine(day, time(), _BEIJING)
        references = [line.reference for line in lines]
        rows = await connection.fetch(
            _ORDERS + _OF_DAY, channel, references, begin, begin + timedelta(days=1)
        )
    return [OurOrder(**dict(row)) for row in rows]


async def _result(
    connection: "asyncpg.Connection[asyncpg.Record]",
    channel: str,
    day: date | None,
    lines: tuple[BookLine, ...],
    compared: Comparison,
    posted: int,
    rechecked: int,
) -> ChannelResult:
    suspense = int(await connection.fetchval(_BALANCE, suspense_account(channel)) or 0)
    expected = int(await connection.fetchval(_BALANCE, expected_account(channel)) or 0)
    in_suspense = int(await connection.fetchval(_IN_SUSPENSE, channel))
    remarks = [_remark(one, day) for one in compared.differences]
    if suspense != in_suspense:
        remarks.append(
            f"suspense stands at {suspense}; what is not determined sums to {in_suspense}"
        )
    return ChannelResult(
        channel=channel,
        lines=len(lines),
        matched=len(compared.matched),
        posted=posted,
        rechecked=rechecked,
        missing_here=len(compared.of("missing_here")),
        missing_there=len(compared.of("missing_there")),
        different=len(compared.of("different")),
        open=len(compared.open),
        suspense_minor=suspense,
        expected_minor=expected,
        remarks=tuple(remarks),
    )


def _remark(one: Difference, day: date | None) -> str:
    """Return a difference as a sentence."""
    line, order = one.line, one.order
    if one.kind == "missing_here" and line is not None:
        ours = f"our order {order.order_id} is {order.state}" if order else "we have no such order"
        return f"{line.reference}: {line.kind} of {line.amount_minor} there, and {ours}"
    if one.kind == "missing_there" and order is not None:
        theirs = f"the channel says {line.state}" if line else "the channel has no such order"
        of_day = " on that day" if day is not None else ""
        return f"{order.order_id}: {order.kind} of {order.amount_minor} here, and {theirs}{of_day}"
    assert line is not None
    assert order is not None
    return (
        f"{order.order_id}: {order.kind} of {order.amount_minor} here, "
        f"{line.kind} of {line.amount_minor} there"
    )
