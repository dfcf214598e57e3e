"""From code to a pack: it is what its manifest says, or it is not loaded."""

import pytest

from kernel.plugins.archive import Archive
from kernel.plugins.capabilities import Grants
from kernel.plugins.entry import make_pack
from kernel.plugins.errors import CapabilityRefused, LoadFailed, ManifestInvalid
from kernel.plugins.loader import load_code
from kernel.plugins.manifest import read_manifest
from kernel.virtual_time import run_virtual
from tests.unit.plugins_host.lab import RULES, changed, library

_V1 = library(1)


def _name(archive: Archive) -> str:
    async def main(clock: object, randomness: object) -> str:
        code = await load_code(archive, number=1, rules=RULES)
        try:
            pack = make_pack(code, archive.manifest)
            assert pack.granted == {"notify"}
            return pack.name
        finally:
            code.unload()

    return run_virtual(main)


def _edited(path: str, before: str, after: str) -> Archive:
    text = _V1.files[path].decode()
    assert before in text
    text = text.replace(before, after, 1)
    return changed(_V1, {path: text.replace("import Context, ", "import Context, on_timer, ")})


_SELF_TEST = "    async def self_test(self)"
_TIMER = """
    @on_timer("late", collection="{collection}", state=Book, body=Get, events={events})
    async def late(self, context: Context, body: Get, book: Book | None) -> Plan:
        return Plan()

"""


def test_the_class_of_the_manifest_is_made() -> None:
    """The entry names it, and it knows what it was granted."""
    assert _name(_V1) == "library"
    assert _name(_edited("pack.py", _SELF_TEST, _TIMER.format(collection="book", events="()")
                         + _SELF_TEST)) == "library"  # fmt: skip


@pytest.mark.parametrize(
    ("path", "before", "after", "message"),
    [
        ("plugin.toml", "pack:Library", "pack:Nothing", "has no 'Nothing'"),
        ("plugin.toml", "pack:Library", "nothing:Library", "names no module"),
        ("plugin.toml", "pack:Library", "state:Book", "not a class derived from Pack"),
        ("plugin.toml", "pack:Library", "pack:EDITION", "not a class derived from Pack"),
        ("pack.py", 'name = "library"', 'name = "museum"', "the class has the name 'museum'"),
        ("pack.py", 'name = "library"', "", "the class has the name None"),
        (
            "pack.py",
            'name = "library"',
            'name = "library"\n\n    def __init__(self) -> None:\n        raise ValueError("no")',
            "cannot be made: ValueError: no",
        ),
        ("plugin.toml", 'verb = "lend"', 'verb = "rent"', "only one of them has the operations"),
        ("plugin.toml", "mutates = false", "mutates = true", "operation 'get' has mutates False"),
        (
            "plugin.toml",
            'verb = "get"',
            'internal = true\nverb = "get"',
            "operation 'get' has internal False",
        ),
        ("pack.py", '"add", collection="book"', '"add", collection="shelf"', "has collection 's"),
        (
            "pack.py",
            _SELF_TEST,
            _TIMER.format(collection="shelf", events="()") + _SELF_TEST,
            "timer 'late' is of the collection 'shelf'",
        ),
        (
            "pack.py",
            _SELF_TEST,
            _TIMER.format(collection="book", events='("library.x",)') + _SELF_TEST,
            "timer 'late' sends library.x, which is not listed",
        ),
        ("pack.py", 'key="isbn"', 'key="title"', "has the key 'title', not 'isbn'"),
        ("pack.py", '("library.lent",)', '("library.lost",)', "sends library.lost, which is not"),
    ],
)
def test_a_pack_that_is_not_as_said_is_refused(
    path: str, before: str, after: str, message: str
) -> None:
    """The first difference between code and manifest is named."""
    with pytest.raises(LoadFailed, match=r".*") as caught:
        _name(_edited(path, before, after))
    assert message in caught.value.message


def test_capabilities_are_denied_by_default() -> None:
    """What the manifest asks for is granted, nothing else, and each refusal is counted."""
    grants = Grants(_V1.manifest, frozenset({"notify", "print"}))
    grants.require("notify")
    for other in ("print", "", "notify "):
        with pytest.raises(CapabilityRefused, match="its manifest does not ask for"):
            grants.require(other)
    assert grants.refused == 3


def test_a_host_offers_what_it_has() -> None:
    """A manifest that asks for more is not loaded at all."""
    with pytest.raises(ManifestInvalid, match=r"asks for notify; this host offers nothing"):
        Grants(_V1.manifest, frozenset())
    plain = read_manifest(_V1.files["plugin.toml"].replace(b'["notify"]', b"[]"))
    assert Grants(plain, frozenset()).granted == frozenset()


def test_a_struct_as_a_default_is_refused() -> None:
    """It would hold its class, unseen by the collector of cycles; the error says what to write."""
    plain = "class Plain(msgspec.Struct, frozen=True):\n    number: int = 0\n\n\n"
    holder = "class Holder(msgspec.Struct, frozen=True):\n    plain: Plain = {default}\n"
    text = _V1.files["state.py"].decode() + "\n\n" + plain + holder
    with pytest.raises(LoadFailed, match=r"Holder.plain .*default_factory=Plain"):
        _name(changed(_V1, {"state.py": text.format(default="Plain()")}))
    factory = text.format(default="msgspec.field(default_factory=Plain)")
    assert _name(changed(_V1, {"state.py": factory})) == "library"
