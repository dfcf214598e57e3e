"""What a payment channel tells: verified and read, or refused; never a third thing.

Most inputs count as signed, though the channel would never send such a thing: a mistake of its own
must do no more harm than a stranger's. The others are verified, and come no further.
"""

import tempfile
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, cast

import orjson

from actors.channels.adapters.signing import seal
from actors.channels.adapters.transport import ChannelAccess, HttpSession
from actors.channels.channel import Callback, CallbackRefused, Channel
from actors.channels.configuration import ADAPTERS
from actors.channels.told import told_of
from kernel.clock import ManualClock
from kernel.randomness import SeededRandomness
from schemas.errors import InvalidField
from tests.fuzz.letters import Letter, parse_letter
from tests.fuzz.mutation import Mutator, dump
from tests.fuzz.reading import ReadingTarget
from zhihui.channel_simulator.books import Order
from zhihui.channel_simulator.keys import APP_IDS, MERCHANT_IDS, KeyRing
from zhihui.channel_simulator.server import DIALECTS

__all__ = ("CallbackTarget",)

_NOON = datetime(2026, 11, 25, 4, tzinfo=UTC)
_NOW_MS = int(_NOON.timestamp() * 1000)
# Said after the name of a channel: its message counts as signed, and this one is also encrypted.
_SIGNED, _SEALED = " signed", " sealed"
_SECRET = b"0" * 32


class _Trusting:
    """Stands in for the verifier of a channel whose key signs nonsense."""

    def verifies(self, text: bytes, signature: str) -> bool:
        return True


class _Desk:
    """Every channel twice: as it is, and with its signatures taken for granted."""

    def __init__(self) -> None:
        self.sound: list[bytes] = []
        self.channels: dict[str, Channel] = {}
        # Read when they are opened, and not needed afterwards.
        with tempfile.TemporaryDirectory() as folder:
            for number, name in enumerate(ADAPTERS, 1):
                ring = KeyRing(Path(folder), name)
                for trusting in (False, True):
                    self._open(name, ring, trusting=trusting)
                self._note_sound(name, ring, number)

    def _open(self, name: str, ring: KeyRing, *, trusting: bool) -> None:
        access = ChannelAccess(
            base_url="http://nowhere",
            merchant_id=MERCHANT_IDS[name],
            app_id=APP_IDS.get(name, ""),
            private_key_file=str(ring.merchant_private),
            channel_key_file=str(ring.channel_public),
            secret_file=str(ring.secret_file),
            notify_url="http://merchant/callbacks",
        )
        session = cast("HttpSession", None)
        channel = ADAPTERS[name](access, session, ManualClock(_NOON), SeededRandomness(1))
        adapter: Any = channel
        adapter._secret = _SECRET if trusting else ring.secret
        if trusting:
            adapter._verifier = _Trusting()
        self.channels[name + (_SIGNED if trusting else "")] = channel

    def _note_sound(self, name: str, ring: KeyRing, number: int) -> None:
        order = Order(
            channel=name, number=number, reference="a" * 32, kind="pay", amount_minor=1_050,
            state="paid", channel_reference=f"{name}-1", created_ms=_NOW_MS, changed_ms=_NOW_MS,
            notify_url="http://merchant/callbacks", at_text="20261125120000",
        )  # fmt: skip
        notice = DIALECTS[name](ring).notice(order, None, 1, _NOW_MS)
        assert notice is not None
        lines = tuple(f"{key}: {value}".encode() for key, value in notice.headers.items())
        for first in (name, name + _SIGNED, name + _SIGNED):
            self.sound.append(Letter(first, lines, notice.body).encode())
        if name == "wechat":
            self.sound.append(Letter(name + _SEALED, lines, dump(_TOLD)).encode())


# What WeChat Pay tells of a payment, under its encryption.
_TOLD = {
    "mchid": MERCHANT_IDS["wechat"], "out_trade_no": "a" * 32, "transaction_id": "wechat-1",
    "trade_state": "SUCCESS", "success_time": "2026-11-25T12:00:00+08:00",
    "amount": {"total": 1_050, "currency": "CNY"}, "out_refund_no": "b" * 32,
    "refund_status": "SUCCESS", "refund_id": "wechat-2",
}  # fmt: skip


@cache
def _desk() -> _Desk:
    # Ten pairs of RSA keys take seconds.
    return _Desk()


class CallbackTarget(ReadingTarget):
    """See the module."""

    name = "callback"

    def __init__(self) -> None:
        super().__init__(_read)

    def samples(self) -> list[bytes]:
        """Return a sound callback of each channel as well."""
        return [*_desk().sound, *super().samples()]

    def changed(self, mutator: Mutator, data: bytes) -> bytes:
        """Change the tree, where the body is JSON, or the values of a form."""
        letter = parse_letter(data)
        random = mutator.random
        try:
            body = dump(mutator.tree(orjson.loads(letter.body), random.randint(0, 3)))
        except orjson.JSONDecodeError:
            fields = letter.body.split(b"&")
            at = random.randrange(len(fields))
            fields[at] = fields[at].partition(b"=")[0] + b"=" + random.choice(_FORM_VALUES)
            body = b"&".join(fields)
        return Letter(letter.first, letter.lines, body).encode()


_FORM_VALUES = (
    b"", b"0", b"-1", b"1e5", b"NaN", b"Infinity", b"9" * 5_000, b"%00", b"%ff", b"+", b"0.001",
    b"1.0.0",
    b"%E4%BB%98", b"TRADE_SUCCESS", b"a=b", b"20261125120000", b"\xef\xbc\x91",
)  # fmt: skip


def _read(data: bytes) -> Callback | None:
    letter = parse_letter(data)
    name, _, way = letter.first.partition(" ")
    body, headers = letter.body, letter.http_headers()
    if name == "wechat" and f" {way}" == _SEALED:
        way, body = _SIGNED.strip(), _sealed(body)
    channel = _desk().channels.get(f"{name} {way}".strip())
    if channel is None:
        return None
    if way:
        # What the signature covers is not what is looked at here.
        headers |= {"wechatpay-timestamp": str(_NOW_MS // 1000), "wechatpay-serial": "1"}
    try:
        told = channel.parse_callback(headers, body, _NOON)
    except CallbackRefused as error:
        raise InvalidField(str(error)) from error
    # As the receiver hands it on.
    told_of("order", told)
    assert isinstance(told.reference, str)
    return told


def _sealed(told: bytes) -> bytes:
    nonce = "000000000001"
    resource = {
        "ciphertext": seal(_SECRET, nonce, "transaction", told),
        "associated_data": "transaction",
        "nonce": nonce,
    }
    kind = "REFUND.SUCCESS" if b"out_refund_no" in told else "TRANSACTION.SUCCESS"
    return dump({"id": "EV-1", "event_type": kind, "resource": resource})
