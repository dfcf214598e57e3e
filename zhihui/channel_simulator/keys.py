"""The keys of both sides, and the merchant's file that says how the channels are reached."""

from pathlib import Path

import msgspec

from actors.channels.adapters.signing import Signer, Verifier, generate_key, new_secret
from actors.channels.adapters.transport import ChannelAccess
from actors.channels.configuration import TERMS, ChannelsConfig
from actors.channels.terms import ChannelTerms

__all__ = ("APP_IDS", "CONFIG_FILE", "MERCHANT_IDS", "KeyRing", "write_merchant_file")

CONFIG_FILE = "channels.json"
# What the merchant is called at each channel, in the form that the channel gives such names.
MERCHANT_IDS = {
    "own_bank": "zhihui",
    "wechat": "1900000109",
    "alipay": "2088102146225135",
    "unionpay": "777290058110048",
    "netsunion": "C1030131000014",
}
APP_IDS = {"wechat": "wxd678efh567hg6787", "alipay": "2014072300007148"}


class KeyRing:
    """The keys of one channel: both pairs, and what callbacks are encrypted with.

    They are made once and kept, so that a simulator that is started again is the same channel.
    """

    def __init__(self, folder: Path, channel: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.merchant_private = folder / f"{channel}.merchant.key.pem"
        self.merchant_public = folder / f"{channel}.merchant.pub.pem"
        self.channel_private = folder / f"{channel}.channel.key.pem"
        self.channel_public = folder / f"{channel}.channel.pub.pem"
        self.secret_file = folder / f"{channel}.secret"
        if not self.secret_file.exists():
            _write(*generate_key(), self.merchant_private, self.merchant_public)
            _write(*generate_key(), self.channel_private, self.channel_public)
            _private(self.secret_file, new_secret())
        self.signer = Signer(self.channel_private.read_bytes())
        self.verifier = Verifier(self.merchant_public.read_bytes())
        self.secret = self.secret_file.read_bytes()


def _write(private: bytes, public: bytes, private_file: Path, public_file: Path) -> None:
    _private(private_file, private)
    public_file.write_bytes(public)


def _private(path: Path, data: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(data)


def _terms(channel: str, order_expires_s: int | None) -> ChannelTerms | None:
    if order_expires_s is None:
        return None
    return msgspec.structs.replace(
        TERMS[channel],
        order_expires_s=order_expires_s,
        settle_grace_s=max(1, order_expires_s // 4),
    )


def write_merchant_file(
    folder: Path,
    rings: dict[str, KeyRing],
    *,
    base_url: str,
    callbacks_url: str,
    callbacks_port: int,
    timeout_s: float,
    order_expires_s: int | None,
) -> Path:
    """Write the file that a node reads to reach these channels; return its path.

    ``order_expires_s`` gives their orders another life than the adapters' own terms do.
    """
    channels = {
        name: ChannelAccess(
            base_url=f"{base_url}/{name}",
            merchant_id=MERCHANT_IDS[name],
            app_id=APP_IDS.get(name, ""),
            private_key_file=str(ring.merchant_private.relative_to(folder)),
            channel_key_file=str(ring.channel_public.relative_to(folder)),
            secret_file=str(ring.secret_file.relative_to(folder)),
            notify_url=f"{callbacks_url}/callbacks/{name}" if callbacks_url else "",
            timeout_s=timeout_s,
            terms=_terms(name, order_expires_s),
        )
        for name, ring in rings.items()
    }
    config = ChannelsConfig(
        channels=channels,
        callbacks_port=callbacks_port,
        statement_url=f"{base_url}/admin/statement?channel={{channel}}",
    )
    path = folder / CONFIG_FILE
    path.write_bytes(msgspec.json.format(msgspec.json.encode(config), indent=2) + b"\n")
    return path
