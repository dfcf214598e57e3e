"""The channels that a node can reach, as a file says."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from actors.channels.adapters.alipay import ALIPAY_TERMS, Alipay
from actors.channels.adapters.netsunion import NETSUNION_TERMS, NetsUnion
from actors.channels.adapters.own_bank import OWN_BANK_TERMS, OwnBank
from actors.channels.adapters.transport import ChannelAccess, HttpSession
from actors.channels.adapters.unionpay import UNIONPAY_TERMS, UnionPay
from actors.channels.adapters.wechat import WECHAT_TERMS, WechatPay
from actors.channels.channel import Channel
from actors.channels.terms import ChannelTerms
from kernel.clock import Clock
from kernel.randomness import Randomness

__all__ = (
    "ADAPTERS",
    "CHANNELS_SETTING",
    "TERMS",
    "ChannelsConfig",
    "open_adapter",
    "read_channels",
)

# The name of the setting that holds the path of the file.
CHANNELS_SETTING = "ZHIHUI_CHANNELS"

ADAPTERS: dict[str, Callable[..., Channel]] = {
    "own_bank": OwnBank,
    "wechat": WechatPay,
    "alipay": Alipay,
    "unionpay": UnionPay,
    "netsunion": NetsUnion,
}


# The terms of each, where a channel's file does not state others.
TERMS: dict[str, ChannelTerms] = {
    "own_bank": OWN_BANK_TERMS,
    "wechat": WECHAT_TERMS,
    "alipay": ALIPAY_TERMS,
    "unionpay": UNIONPAY_TERMS,
    "netsunion": NETSUNION_TERMS,
}


class ChannelsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The channels by their names, and where this node takes their callbacks.

    ``callbacks_host`` and ``callbacks_port`` are the address to listen on; port 0 takes none.
    ``statement_url`` is where the books of a channel are read for reconciliation, with the
    channel's name in place of ``{channel}``.
    """

    channels: dict[str, ChannelAccess]
    callbacks_host: str = "127.0.0.1"
    callbacks_port: int = 0
    statement_url: str = ""

    def __post_init__(self) -> None:
        unknown = sorted(set(self.channels) - set(ADAPTERS))
        if unknown:
            raise ValueError(f"no adapter knows the channel {unknown[0]!r}: {', '.join(ADAPTERS)}")


def open_adapter(
    name: str,
    access: ChannelAccess,
    session: HttpSession,
    clock: Clock,
    randomness: Randomness,
) -> Channel:
    """Return the adapter of a channel over an open session."""
    return ADAPTERS[name](access, session, clock, randomness)


def read_channels(path: Path) -> ChannelsConfig:
    """Return the channels of a JSON or TOML file; names of files in it are relative to it.

    Raise :class:`ValueError` with a sentence that says what is wrong with it.
    """
    try:
        data = path.read_bytes()
        if path.suffix == ".toml":
            config = msgspec.toml.decode(data, type=ChannelsConfig)
        else:
            config = msgspec.json.decode(data, type=ChannelsConfig)
    except OSError as error:
        raise ValueError(f"the channels' file {path} cannot be read: {error.strerror}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(f"the channels' file {path} makes no sense: {error}") from error
    channels = {name: _beside(path.parent, access) for name, access in config.channels.items()}
    return msgspec.structs.replace(config, channels=channels)


def _beside(folder: Path, access: ChannelAccess) -> ChannelAccess:
    files = {
        name: str(folder / getattr(access, name))
        for name in ("private_key_file", "channel_key_file", "secret_file")
        if getattr(access, name)
    }
    return msgspec.structs.replace(access, **files)
