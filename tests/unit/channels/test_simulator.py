"""The simulated channels: fates that repeat, shares that hold, and books that survive."""

import itertools
from pathlib import Path

import msgspec
import pytest

from zhihui.channel_simulator.behaviour import Draw, fate_of, notices_of
from zhihui.channel_simulator.books import Books, Order
from zhihui.channel_simulator.profile import (
    ChannelProfile,
    Outage,
    Phase,
    Profile,
    ProfileRefused,
    in_force,
    outage_at,
    read_profile,
)
from zhihui.channel_simulator.profiles import PROFILES

_ORDERS = 20_000


def _fates(profile: ChannelProfile, seed: int, count: int = _ORDERS) -> list[object]:
    return [
        fate_of(
            profile,
            Draw(seed, "wechat", number),
            Draw(seed, "wechat", number, "pay", 1),
            changes=True,
        )
        for number in range(count)
    ]


def test_one_seed_gives_one_run() -> None:
    """The n-th order of a channel has the same fate in every run with one seed."""
    worst = PROFILES["worst"].default
    assert _fates(worst, 7, 500) == _fates(worst, 7, 500)
    assert _fates(worst, 7, 500) != _fates(worst, 8, 500)


def test_the_worst_profile_has_the_shares_that_it_names() -> None:
    """One request in five is not answered, half of these after they took effect."""
    worst = PROFILES["worst"].default
    fates = [
        fate_of(worst, Draw(1, "x", n), Draw(1, "x", n, "pay", 1), changes=True)
        for n in range(_ORDERS)
    ]
    silent = sum(not one.answered for one in fates) / _ORDERS
    after = sum(not one.answered and one.takes_effect == "now" for one in fates) / _ORDERS
    declined = sum(one.refusal == "payer" for one in fates) / _ORDERS
    assert silent == pytest.approx(0.20, abs=0.01)
    assert after == pytest.approx(0.10, abs=0.01)
    assert declined == pytest.approx(0.05, abs=0.01)


def test_a_share_does_not_shift_the_others() -> None:
    """Which orders are refused does not change when more requests get lost."""
    calm = ChannelProfile(decline_ppm=100_000)
    rough = ChannelProfile(decline_ppm=100_000, timeout_before_ppm=300_000)
    pairs = zip(_fates(calm, 1, 2_000), _fates(rough, 1, 2_000), strict=True)
    assert all(a.refusal == b.refusal for a, b in pairs)  # type: ignore[attr-defined]


def test_latencies_are_spread_about_their_median() -> None:
    """Half of the answers take longer than the median, and none longer than the maximum."""
    profile = ChannelProfile(latency_median_s=0.1, latency_sigma=0.5, latency_max_s=0.3)
    found = [
        fate_of(profile, Draw(1, n), Draw(1, n, "pay"), changes=True).latency_s
        for n in range(_ORDERS)
    ]
    longer = sum(one > 0.1 for one in found) / _ORDERS
    assert longer == pytest.approx(0.5, abs=0.02)
    assert max(found) == 0.3
    assert min(found) > 0


def test_callbacks_come_once_late_thrice_or_never() -> None:
    """Of the results, the named shares are never told, told three times, or told late."""
    profile = ChannelProfile(
        callback_lost_ppm=100_000, callback_duplicate_ppm=500_000, callback_late_ppm=200_000,
        callback_late_s=5.0, callback_delay_s=(0.0, 1.0),
    )  # fmt: skip
    plans = [notices_of(profile, Draw(n)).delays_s for n in range(_ORDERS)]
    counts = {number: sum(len(one) == number for one in plans) / _ORDERS for number in (0, 1, 3)}
    assert counts == {
        0: pytest.approx(0.1, abs=0.01),
        1: pytest.approx(0.45, abs=0.02),
        3: pytest.approx(0.45, abs=0.02),
    }
    assert sum(bool(one) and one[0] >= 5 for one in plans) / _ORDERS == pytest.approx(
        0.18, abs=0.02
    )
    # Not always in order: that is what they are for.
    assert any(
        a > b for a, b in itertools.pairwise(next(one for one in plans if len(one) == 3))
    ) or (sum(list(one) != sorted(one) for one in plans) > 0)


def test_phases_and_outages_follow_the_time() -> None:
    """A phase holds from its second on, until the next; an outage between its two ends."""
    profile = ChannelProfile(
        decline_ppm=1,
        phases=(Phase(from_s=10, decline_ppm=2), Phase(from_s=20, latency_factor=3.0)),
        outages=(Outage(from_s=5, to_s=6, kind="error"),),
    )
    assert [in_force(profile, t).decline_ppm for t in (0, 9.9, 10, 19.9, 20)] == [1, 1, 2, 2, 1]
    assert in_force(profile, 20).latency_median_s == pytest.approx(profile.latency_median_s * 3)
    assert [outage_at(profile, t) for t in (4.9, 5, 5.9, 6)] == [None, "error", "error", None]


def test_a_profile_is_read_from_toml_and_json(tmp_path: Path) -> None:
    """A profile of one's own is a file; what it does not know is refused with a sentence."""
    toml = tmp_path / "mine.toml"
    toml.write_text(
        'name = "mine"\nseed = 3\n[default]\ndecline_ppm = 5\n'
        "[channels.wechat]\nfailure_ppm = 7\n[[channels.wechat.outages]]\nfrom_s = 1\nto_s = 2\n"
    )
    profile = read_profile(toml)
    assert (profile.seed, profile.of("alipay").decline_ppm) == (3, 5)
    assert profile.of("wechat").outages == (Outage(from_s=1, to_s=2),)
    path = tmp_path / "mine.json"
    path.write_bytes(msgspec.json.encode(profile))
    assert read_profile(path) == profile
    for text in (
        "name = 1",
        'name = "x"\nsees = 1',
        'name = "x"\n[default]\ndecline_ppm = 2000000',
    ):
        toml.write_text(text)
        with pytest.raises(ProfileRefused, match="is not a profile"):
            read_profile(toml)
    with pytest.raises(ProfileRefused, match="cannot be read"):
        read_profile(tmp_path / "nowhere.toml")


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_the_profiles_with_a_name_are_sound(name: str) -> None:
    """Each is what it is called, and survives the way over the wire."""
    profile = PROFILES[name]
    assert profile.name == name
    assert msgspec.json.decode(msgspec.json.encode(profile), type=Profile) == profile


def _order(reference: str, number: int = 1, **more: object) -> Order:
    return msgspec.convert(
        {
            "channel": "wechat",
            "number": number,
            "reference": reference,
            "kind": "pay",
            "amount_minor": 100,
            "state": "pending",
            "channel_reference": f"{number:012d}-{reference}",
            "created_ms": 1,
            "changed_ms": 1,
            "notify_url": "",
            **more,
        },
        Order,
    )


def test_books_survive_their_process(tmp_path: Path) -> None:
    """Orders, their last states and their refunds are there again, also after a torn line."""
    path = tmp_path / "books.jsonl"
    books = Books(path)
    paid = _order("ref-1")
    books.add(paid)
    books.change(paid, "paid", 5)
    books.add(_order("ref-2", 2, kind="refund", pay_reference="ref-1"))
    books.close()
    with path.open("ab") as file:
        file.write(b'{"channel":"wechat","number":3,"ref')
    again = Books(path)
    found = again.get("wechat", "ref-1")
    assert found is not None
    assert (found.state, found.changed_ms) == ("paid", 5)
    assert [one.reference for one in again.refunds_of(found)] == ["ref-2"]
    assert again.number("wechat", "ref-3") == 3
    again.add(_order("ref-3", 3))
    again.close()
    third = Books(path)
    assert [one.reference for one in third.orders("wechat")] == ["ref-1", "ref-2", "ref-3"]
    third.close()
