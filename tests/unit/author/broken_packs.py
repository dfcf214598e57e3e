"""The sound pack, broken in one place at a time: each breach is one that a single check sees."""

from pathlib import Path

import msgspec

from kernel.plugins.archive import Archive, pack_files, pack_folder, read_archive

__all__ = ("BROKEN", "Broken", "sound", "sound_changed", "upgraded")

_SOUND = Path(__file__).parent / "packs" / "sound"
_READ = '        tariff = await context.read("tariff", message.tariff_id, Tariff)\n'
_CHOICE = "        price_minor = tariff.hour_minor\n"
_FINED = "        price_minor = tariff.hour_minor + self.memory.get('fine', 0)\n"
_BACK = "        return Plan(state=msgspec.structs.replace(thing, out=False))\n"


class Broken(msgspec.Struct, frozen=True, kw_only=True):
    """How the pack is broken, and what the check must say of it."""

    number: int
    what: str
    says: str
    changes: tuple[tuple[str, str, str], ...]

    def archive(self) -> Archive:
        """Return the broken pack."""
        return sound_changed(*self.changes)


def sound() -> Archive:
    """Return the pack that is not broken."""
    return pack_folder(_SOUND)


def sound_changed(*changes: tuple[str, str, str]) -> Archive:
    """Return the pack with a text in a file replaced by another."""
    files = dict(sound().files)
    for name, old, new in changes:
        text = files[name].decode()
        assert text.count(old) == 1, (name, old)
        files[name] = text.replace(old, new).encode()
    return read_archive(pack_files(files))


def upgraded(migrate: str) -> Archive:
    """Return the next version of the pack, whose things say ``times`` where it said ``lent``."""
    return sound_changed(
        ("plugin.toml", 'version = "1.0.0"', 'version = "1.1.0"'),
        ("plugin.toml", "state_version = 1", "state_version = 2"),
        ("pack.py", "    lent: int = 0\n    at:", "    times: int\n    at:"),
        ("pack.py", "thing or Thing()\n        if", "thing or Thing(times=0)\n        if"),
        ("pack.py", "Thing(lent=thing.lent + 1,", "Thing(times=thing.times + 1,"),
        ("pack.py", "return thing or Thing()", "return thing or Thing(times=0)"),
        (
            "pack.py", "        self.memory: dict[str, int] = {}\n",
            f"        self.memory: dict[str, int] = {{}}\n\n{migrate}",
        ),
    )  # fmt: skip


_WITH_CODE = ("pack.py", "from datetime import", "import asyncio\nfrom datetime import")

BROKEN = (
    Broken(
        number=1,
        what="it counts in its memory how often a request came, and charges for the third time",
        says="answered otherwise",
        changes=(
            (
                "pack.py", _READ,
                _READ + "        seen = self.memory.get(message.request_id, 0) + 1\n"
                "        self.memory[message.request_id] = seen\n"
                "        if seen > 2:\n"
                "            self.memory['fine'] = 50\n",
            ),
            ("pack.py", _CHOICE, _FINED),
        ),
    ),
    Broken(
        number=2,
        what="it believes that a timer comes once",
        says="this timer has fired already",
        changes=(
            (
                "pack.py", _BACK,
                "        if context.request_id in self.memory:\n"
                "            raise RuntimeError('this timer has fired already')\n"
                "        self.memory[context.request_id] = 1\n" + _BACK,
            ),
        ),
    ),
    Broken(
        number=3,
        what="it divides by what anybody may send",
        says="ZeroDivisionError",
        changes=(
            ("pack.py", _CHOICE, "        price_minor = tariff.hour_minor * 1 // message.weight\n"),
        ),
    ),
    Broken(
        number=4,
        what="it marks a thing as busy while it waits, and forgets it when it is cancelled",
        says="busy",
        changes=(
            (
                "pack.py", _READ,
                "        if message.thing_id in self.memory:\n"
                "            raise InvalidState('the thing is busy', field='thing_id')\n"
                "        self.memory[message.thing_id] = 1\n" + _READ
                + "        del self.memory[message.thing_id]\n",
            ),
        ),
    ),
    Broken(
        number=5,
        what="it charges for a request whose first plan it cannot find in the document",
        says="cut off by the deadline",
        changes=(
            (
                "pack.py", _CHOICE,
                "        if self.memory.get(message.request_id) == thing.lent:\n"
                "            self.memory['fine'] = 50\n"
                "        self.memory[message.request_id] = thing.lent\n" + _FINED,
            ),
        ),
    ),
    Broken(
        number=6,
        what="it takes five seconds to give in when it is cancelled",
        says="did not end within 3 s",
        changes=(
            _WITH_CODE,
            (
                "pack.py", _READ,
                "        try:\n    " + _READ + "        except asyncio.CancelledError:\n"
                "            await asyncio.sleep(5)\n            raise\n",
            ),
        ),
    ),
    Broken(
        number=7,
        what="it puts one of its classes into a table of the standard library",
        says="still in memory",
        changes=(
            ("pack.py", "import msgspec\n", "import copyreg\nimport msgspec\n"),
            (
                "pack.py", "class Sound(Pack):",
                "copyreg.dispatch_table[Thing] = str\n\n\nclass Sound(Pack):",
            ),
        ),
    ),
    Broken(
        number=9,
        what="it asks for holds and never places one",
        says="asks for 'hold' and no call of the story uses it",
        changes=(("plugin.toml", '["pay", ', '["hold", "pay", '),),
    ),
    Broken(
        number=10,
        what="its event carries another struct than the manifest says",
        says="the event sound.lent carries what is no pack:Lent",
        changes=(("pack.py", "data=lent),)", "data=tariff),)"),),
    ),
    Broken(
        number=11,
        what="it is sure that time goes forward",
        says="failed after the clock was set by",
        changes=(
            (
                "pack.py", _READ,
                _READ + "        assert thing is None or thing.at is None "
                "or thing.at <= context.now\n",
            ),
        ),
    ),
    Broken(
        number=12,
        what="it keeps a record of its own outside of its documents, which no crash takes back",
        says="killed before the commit",
        changes=(
            ("pack.py", "import msgspec\n", "import os\nimport msgspec\n"),
            (
                "pack.py", _CHOICE,
                _CHOICE + "        mine = os.environ.setdefault(\n"
                "            f'SOUND_{message.request_id}', str(id(self))\n"
                "        )\n"
                "        if mine != str(id(self)):\n"
                "            raise InvalidState('done by another process', field='request_id')\n",
            ),
        ),
    ),
)  # fmt: skip
