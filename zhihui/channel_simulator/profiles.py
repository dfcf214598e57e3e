"""The profiles that have a name."""

import msgspec

from zhihui.channel_simulator.profile import ChannelProfile, Outage, Phase, Profile

__all__ = ("PROFILES",)

_CALM = ChannelProfile(
    latency_median_s=0.02, decline_ppm=20_000, callback_delay_s=(0.05, 0.2), payer_delay_s=0.5
)

# One request in five is not answered, one in ten after it took effect; every second result is told
# three times, some of them late, and one in ten never; a hundredth of the refused orders is paid
# after all.
_WORST = ChannelProfile(
    latency_median_s=0.02,
    latency_sigma=0.8,
    decline_ppm=50_000,
    failure_ppm=20_000,
    timeout_before_ppm=70_000,
    timeout_after_ppm=100_000,
    late_effect_ppm=30_000,
    late_effect_s=1.0,
    query_timeout_ppm=100_000,
    hang_s=2.0,
    broken_word_ppm=10_000,
    broken_word_s=2.0,
    callback_delay_s=(0.0, 1.0),
    callback_lost_ppm=100_000,
    callback_duplicate_ppm=500_000,
    callback_late_ppm=200_000,
    callback_late_s=4.0,
    callback_retries_s=(0.5, 1.0, 2.0),
    payer_delay_s=0.3,
    payer_leaves_ppm=50_000,
)


def _with(outage: Outage) -> ChannelProfile:
    return msgspec.structs.replace(_WORST, outages=(outage,))


# Success rates that change over minutes, so that no fixed choice stays the best one: a slow
# decline, a sudden hole, and a recovery, each at another channel at another time.
_SHIFTING = {
    "own_bank": ChannelProfile(
        latency_median_s=0.03,
        decline_ppm=20_000,
        failure_ppm=80_000,
        phases=(
            Phase(from_s=120, failure_ppm=20_000),
            Phase(from_s=300, failure_ppm=300_000, latency_factor=4),
            Phase(from_s=420, failure_ppm=80_000),
        ),
    ),
    "wechat": ChannelProfile(
        latency_median_s=0.04,
        decline_ppm=20_000,
        failure_ppm=10_000,
        phases=(
            Phase(from_s=90, failure_ppm=150_000, latency_factor=2),
            Phase(from_s=180, failure_ppm=450_000, latency_factor=5),
            Phase(from_s=330, failure_ppm=10_000),
        ),
    ),
    "alipay": ChannelProfile(
        latency_median_s=0.04,
        decline_ppm=20_000,
        failure_ppm=60_000,
        phases=(
            Phase(from_s=150, failure_ppm=10_000),
            Phase(from_s=360, failure_ppm=250_000, timeout_after_ppm=100_000),
        ),
    ),
    "unionpay": ChannelProfile(
        latency_median_s=0.06,
        decline_ppm=20_000,
        failure_ppm=120_000,
        phases=(Phase(from_s=240, failure_ppm=20_000), Phase(from_s=480, failure_ppm=200_000)),
    ),
    "netsunion": ChannelProfile(
        latency_median_s=0.05,
        decline_ppm=20_000,
        failure_ppm=40_000,
        phases=(Phase(from_s=60, failure_ppm=300_000), Phase(from_s=270, failure_ppm=15_000)),
    ),
}

PROFILES: dict[str, Profile] = {
    "calm": Profile(name="calm", default=_CALM),
    "worst": Profile(
        name="worst",
        default=_WORST,
        channels={
            "wechat": _with(Outage(from_s=4, to_s=9)),
            "unionpay": _with(Outage(from_s=6, to_s=10, kind="error")),
            "netsunion": _with(Outage(from_s=3, to_s=6, kind="refuse")),
        },
    ),
    "shifting": Profile(name="shifting", channels=_SHIFTING),
    # Nothing goes wrong and nothing takes time: for tests that are about something else.
    "plain": Profile(
        name="plain",
        default=ChannelProfile(
            latency_median_s=0.0,
            settle_delay_s=0.0,
            refund_delay_s=0.0,
            callback_delay_s=(0.0, 0.0),
            payer_delay_s=0.05,
        ),
    ),
}
