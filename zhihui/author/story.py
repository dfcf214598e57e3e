"""The story that a pack brings for its check: accounts with money, and requests in their order.

It stands in ``samples/check.toml``::

    [accounts]
    rider = 1_000

    [[calls]]
    operation = "rent"
    body = { locker_id = "A1", account_id = "@rider", hours = 3 }

    [[calls]]
    after_s = 3_600
    operation = "rent"
    body = { locker_id = "A1", account_id = "@rider", hours = 3 }
    expect = "insufficient_funds"

``@rider`` is the id of that account. Where a body needs a request id it gets one.
"""

import tomllib
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from kernel.plugins.archive import Archive
from kernel.plugins.manifest import Manifest
from schemas.catalogue import BANK_OPERATIONS
from schemas.errors import ERRORS
from zhihui.errors import SetupError

__all__ = ("STORY_FILE", "Call", "Story", "read_story", "story_of")

STORY_FILE = "samples/check.toml"
# It is played some thirty times; longer ones belong into the tests.
_CALLS_MAX = 500
_OK = "ok"

_BANK = {one.name: one.mutates for one in BANK_OPERATIONS}


class Call(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One request; ``expect`` is ``ok`` or the code of an error.

    ``after_s`` seconds pass before it. ``app`` is the backend that sends it.
    """

    operation: str
    body: dict[str, Any] = {}
    expect: str = _OK
    after_s: Annotated[float, Meta(ge=0)] = 0
    app: str = "shop"
    # Derived from the manifest when the story is read.
    mutates: bool = True

    def text(self, number: int) -> str:
        """Return how the call is named to its author."""
        return f"call {number + 1} ({self.operation.partition('.')[2]})"


class Story(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Accounts by their names, with what is in them at first in minor units, and the calls."""

    calls: Annotated[tuple[Call, ...], Meta(min_length=1, max_length=_CALLS_MAX)]
    accounts: dict[str, Annotated[int, Meta(ge=0)]] = {}

    def apps(self) -> tuple[str, ...]:
        """Return the backends of the story."""
        return tuple(dict.fromkeys(call.app for call in self.calls))

    def of_app(self, app: str) -> "Story":
        """Return the story as another backend would live it."""
        renamed = tuple(msgspec.structs.replace(call, app=app) for call in self.calls)
        return msgspec.structs.replace(self, calls=renamed)


def story_of(archive: Archive) -> Story:
    """Return the story that an archive brings; raise :class:`SetupError` when there is none."""
    text = archive.files.get(STORY_FILE)
    if text is None:
        raise SetupError(
            f"The pack {archive.manifest.name} has no {STORY_FILE}, which `zhihui plugin check` "
            "plays: accounts, and a few requests for each operation. `zhihui plugin new` makes one "
            "to start from."
        )
    return read_story(text, archive.manifest, STORY_FILE)


def read_story(text: bytes, manifest: Manifest, where: str) -> Story:
    """Return the story that a text tells; raise :class:`SetupError` with what is wrong with it."""
    try:
        story = msgspec.convert(tomllib.loads(text.decode()), Story)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise SetupError(f"{where}: {error}") from error
    mutates = {f"{manifest.name}.{one.verb}": one.mutates for one in manifest.operations}
    mutates |= _BANK
    calls = []
    for number, call in enumerate(story.calls):
        name = call.operation if "." in call.operation else f"{manifest.name}.{call.operation}"
        if name not in mutates:
            raise SetupError(f"{where}: call {number + 1} is for {name!r}, which does not exist.")
        if call.expect != _OK and call.expect not in ERRORS:
            raise SetupError(
                f"{where}: call {number + 1} expects {call.expect!r}; it is `ok` or one of "
                f"{', '.join(sorted(ERRORS))}."
            )
        calls.append(msgspec.structs.replace(call, operation=name, mutates=mutates[name]))
    return msgspec.structs.replace(story, calls=tuple(calls))
