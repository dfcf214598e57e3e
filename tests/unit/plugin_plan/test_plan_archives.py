"""Archives that come in parts, and who has to vouch for them."""

import base64
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import pytest

from actors.plugins.archives import deflated, inflated, parts_of
from actors.plugins.trust import (
    KEYS_SETTING,
    OPERATOR,
    OPERATOR_KEY_SETTING,
    UNSIGNED_SETTING,
    WITH_THE_PROGRAM,
    PluginTrust,
)
from kernel.plugins.archive import digest_of, pack_files
from kernel.plugins.errors import SignatureRefused
from kernel.plugins.signature import SigningKey
from kernel.randomness import SeededRandomness
from schemas.errors import InvalidField
from schemas.plugins import PART_BYTES
from tests.unit.plugin_plan.plan_lab import UNSIGNED, Office, greeter, play
from zhihui.simulation.world import World

_NOISE = SeededRandomness(7).bits(8 * 100_000).to_bytes(100_000, "big")
LARGE = greeter("1.0.0", extra=_NOISE)


def _part(sha256: str, index: int, total: int, data: str) -> dict[str, Any]:
    return {"sha256": sha256, "index": index, "total": total, "data": data}


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_parts_come_in_any_order_and_more_than_once() -> None:
    """The archive is whole with the last part that was missing, and loads as it was packed."""
    parts = parts_of(LARGE.data)
    assert len(parts) == 3

    async def story(world: World, office: Office) -> list[Any]:
        answers = [
            await office.do("upload", **_part(LARGE.sha256, index, 3, parts[index]))
            for index in (2, 0, 2, 0, 1, 1)
        ]
        assert (await office.try_("load", name="greeter", sha256=LARGE.sha256))["ok"]
        await world.clock.sleep(2)
        assert world.node("n1").plugins.statistics().convergence.converged
        return answers

    answers = play(story, settings=UNSIGNED)
    assert [one["missing"] for one in answers] == [[0, 1], [1], [1], [1], [], []]
    assert [one["complete"] for one in answers] == [False] * 4 + [True] * 2


def test_an_archive_with_a_damaged_part_is_refused_until_that_part_comes_again() -> None:
    """What has another digest never becomes whole; sent again as it is, it does."""
    parts = parts_of(LARGE.data)
    damaged = deflated(bytes(PART_BYTES))

    async def story(world: World, office: Office) -> list[Any]:
        await office.do("upload", **_part(LARGE.sha256, 0, 3, parts[0]))
        await office.do("upload", **_part(LARGE.sha256, 1, 3, damaged))
        refused = await office.try_("upload", **_part(LARGE.sha256, 2, 3, parts[2]))
        early = await office.try_("load", name="greeter", sha256=LARGE.sha256)
        await office.do("upload", **_part(LARGE.sha256, 1, 3, parts[1]))
        whole = await office.do("upload", **_part(LARGE.sha256, 2, 3, parts[2]))
        return [refused["error"], early["error"], whole["complete"]]

    refused, early, whole = play(story, settings=UNSIGNED)
    assert refused["code"] == "invalid_field"
    assert "digest" in refused["message"]
    assert early["code"] == "not_found"
    assert whole


def test_what_is_no_part_or_no_archive_is_refused() -> None:
    """Indexes beyond, bytes that are no zlib, parts of the wrong size, archives of nothing."""
    nothing = b"not an archive"
    unsound = pack_files({"plugin.toml": b'name = "Not A Name"'})

    async def story(world: World, office: Office) -> list[Any]:
        uploads = [
            _part(LARGE.sha256, 3, 3, deflated(b"x")),
            _part(LARGE.sha256, 0, 3, "bm8gemxpYg=="),
            _part(LARGE.sha256, 0, 3, deflated(b"too short")),
            _part(LARGE.sha256, 2, 3, deflated(bytes(PART_BYTES + 1))),
            _part(LARGE.sha256, 2, 3, _encoded(zlib.compress(b"x") + b"more")),
            _part(digest_of(nothing), 0, 1, deflated(nothing)),
            _part(digest_of(unsound), 0, 1, deflated(unsound)),
            _part(LARGE.sha256, 0, 1, "no base64!"),
            _part("ABC", 0, 1, deflated(b"x")),
        ]
        answers = [await office.try_("upload", **one) for one in uploads]
        assert world.rows("plugin_archive") == world.rows("plugin_archive_part") == []
        return answers

    answers = play(story, settings=UNSIGNED)
    assert {one["error"]["code"] for one in answers} == {"invalid_field"}
    assert answers[0]["error"]["field"] == "index"
    assert [one["error"]["field"] for one in answers[1:5]] == ["data"] * 4


def test_a_part_that_grows_without_end_is_cut_off() -> None:
    """A few bytes that would become fifty million take no memory."""
    bomb = _encoded(zlib.compress(bytes(50_000_000)))
    tracemalloc.start()
    try:
        with pytest.raises(InvalidField):
            inflated(bomb, is_last=True)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_an_upload_that_was_cut_otherwise_is_written_over() -> None:
    """Whoever began with another number of parts does not keep the archive from coming."""
    parts = parts_of(LARGE.data)

    async def story(world: World, office: Office) -> list[Any]:
        wrong = [
            await office.do("upload", **_part(LARGE.sha256, index, 4, parts[0]))
            for index in (0, 1, 2)
        ]
        assert wrong[-1]["missing"] == [3]
        return [
            await office.do("upload", **_part(LARGE.sha256, index, 3, parts[index]))
            for index in range(3)
        ]

    answers = play(story, settings=UNSIGNED)
    assert [one["missing"] for one in answers] == [[1, 2], [2], []]
    assert answers[-1]["complete"]


def _key_files(folder: Path, *names: str) -> dict[str, SigningKey]:
    keys = {name: SigningKey.generate() for name in names}
    for name, key in keys.items():
        (folder / f"{name}.pem").write_bytes(key.public_pem)
    return keys


def test_only_what_a_trusted_key_signed_is_loaded(tmp_path: Path) -> None:
    """Unsigned, signed by a stranger, or with another's signature: forbidden; by a partner: taken.

    What was taken once may be loaded again as it was.
    """
    keys = _key_files(tmp_path, "partner", "other")
    settings = {KEYS_SETTING: str(tmp_path)}
    one, two = greeter("1.0.0"), greeter("1.0.1")

    async def story(world: World, office: Office) -> list[Any]:
        refused = [
            await office.load(one),
            await office.load(one, SigningKey.generate()),
        ]
        signature = keys["partner"].sign(two)
        fields = {name: getattr(signature, name) for name in signature.__struct_fields__}
        refused.append(
            await office.try_("load", name="greeter", sha256=one.sha256, signature=fields)
        )
        assert await office.stages() == {}
        assert (await office.load(one, keys["partner"]))["ok"]
        await world.clock.sleep(2)
        assert world.node("n1").plugins.statistics().convergence.converged
        shown = await office.do("show", name="greeter")
        assert shown["generations"][0]["archive"]["vouched_by"] == "partner"
        await office.do("unload", name="greeter", generation=1)
        again = await office.do("load", name="greeter", sha256=one.sha256)
        assert again["generation"] == 2
        return refused

    refused = play(story, settings=settings)
    assert [one["error"]["code"] for one in refused] == ["forbidden"] * 3


def test_a_node_checks_again_what_the_plan_names(tmp_path: Path) -> None:
    """An archive whose signature was changed in the database is loaded by nobody."""
    keys = _key_files(tmp_path, "partner")
    one = greeter("1.0.0")

    async def story(world: World, office: Office) -> str:
        assert (await office.load(one, keys["partner"]))["ok"]
        await world.clock.sleep(2)
        for row in world.database.rows("plugin_archive").values():
            forged = SigningKey.generate().sign(one).signature
            row["body"] = row["body"].replace(keys["partner"].sign(one).signature, forged)
        await world.start("n2")
        await world.clock.sleep(2)
        assert world.node("n1").plugins.statistics().convergence.converged
        convergence = world.node("n2").plugins.statistics().convergence
        assert not convergence.converged
        return convergence.troubles[0].error

    assert "SignatureRefused" in play(story, settings={KEYS_SETTING: str(tmp_path)})


def test_the_ring_is_what_the_settings_say(tmp_path: Path) -> None:
    """Files and folders of keys, the operator's own key, bundled digests, or everything."""
    keys = _key_files(tmp_path, "partner")
    one, own, stranger = greeter("1.0.0"), SigningKey.generate(), SigningKey.generate()
    (tmp_path / "own.key").write_bytes(own.pem)
    trust = PluginTrust.from_settings(
        {
            KEYS_SETTING: str(tmp_path / "partner.pem"),
            OPERATOR_KEY_SETTING: str(tmp_path / "own.key"),
        }
    )
    assert trust.keys is not None
    assert trust.operator is not None
    assert trust.keys.verify(one, keys["partner"].sign(one)) == "partner"
    assert trust.keys.verify(one, trust.operator.sign(one)) == OPERATOR
    with pytest.raises(SignatureRefused):
        trust.keys.verify(one, stranger.sign(one))
    with pytest.raises(SignatureRefused):
        trust.keys.verify(one, None)
    bundled = PluginTrust.from_settings({}, (one,))
    assert bundled.keys is not None
    assert bundled.keys.verify(one, None) == WITH_THE_PROGRAM
    with pytest.raises(SignatureRefused):
        bundled.keys.verify(greeter("1.0.1"), None)
    assert PluginTrust.from_settings({UNSIGNED_SETTING: "1"}).keys is None


@pytest.mark.parametrize("what", ["missing", "empty", "private", "large", "twice", "operator"])
def test_a_setting_that_names_no_keys_is_an_error(tmp_path: Path, what: str) -> None:
    """It names the setting, and a node does not start with a ring that nobody meant."""
    file = tmp_path / "a.pem"
    value = str(file)
    setting = KEYS_SETTING
    if what == "empty":
        value = str(tmp_path)
    elif what == "private":
        file.write_bytes(SigningKey.generate().pem)
    elif what == "large":
        file.write_bytes(bytes(100_000))
    elif what == "twice":
        file.write_bytes(SigningKey.generate().public_pem)
        value = f"{file}:{file}"
    elif what == "operator":
        file.write_bytes(SigningKey.generate().public_pem)
        setting = OPERATOR_KEY_SETTING
    with pytest.raises(ValueError, match=setting):
        PluginTrust.from_settings({setting: value})
