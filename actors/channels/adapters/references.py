"""Order numbers at the channels: derived from our own ids, so that sending twice is one order."""

from datetime import datetime
from hashlib import blake2b

from actors.channels.adapters.money import BEIJING

__all__ = ("digits_reference", "hex_reference")


def hex_reference(channel: str, order_id: str) -> str:
    """Return 32 lower-case hexadecimal digits: 128 bits, so that no two ids ever share one.

    It fits the rules of WeChat Pay (6 to 32 of digits, letters and ``_-|*``), Alipay (up to 64 of
    digits, letters and ``_``) and UnionPay (8 to 40 digits and letters).
    """
    return blake2b(f"{channel}\0{order_id}".encode(), digest_size=16).hexdigest()


def digits_reference(channel: str, order_id: str, created_at: datetime) -> str:
    """Return 31 digits as NetsUnion wants them: the date in Beijing, 16, one reserved, and six.

    The 22 that are ours carry 73 bits; two of ten million orders of one day share a number with a
    probability of one in a hundred million.
    """
    digest = blake2b(f"{channel}\0{order_id}".encode(), digest_size=16).digest()
    serial = f"{int.from_bytes(digest, 'big') % 10**22:022d}"
    date = created_at.astimezone(BEIJING).strftime("%Y%m%d")
    return f"{date}{serial[:16]}0{serial[16:]}"
