"""Checks 9 and 10: what the pack asks for, and what it says of its messages."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from kernel.plugins.archive import Archive, pack_files, read_archive
from kernel.plugins.generation import Generation
from kernel.plugins.manifest import MANIFEST_NAME
from schemas.errors import Internal
from zhihui.author.checks.check import Case, Check, Finding
from zhihui.author.packing import code_of
from zhihui.author.platform import NODE
from zhihui.author.rehearsal import tell
from zhihui.author.stage import Stage

__all__ = ("CapabilityDenied", "RoundTrip", "without_capability")

_CAPABILITIES = re.compile(r"^capabilities\s*=\s*\[[^\]]*\]", re.MULTILINE)


def without_capability(archive: Archive, capability: str) -> Archive:
    """Return the archive with a manifest that does not ask for a capability."""
    kept = [one for one in archive.manifest.capabilities if one != capability]
    text = archive.files[MANIFEST_NAME].decode()
    names = ", ".join(f'"{one}"' for one in kept)
    changed = _CAPABILITIES.sub(f"capabilities = [{names}]", text, count=1)
    return read_archive(pack_files({**archive.files, MANIFEST_NAME: changed.encode()}))


class CapabilityDenied(Check):
    """The story with each capability taken out of the manifest in turn."""

    number = 9
    name = "capability refused"
    proves = "the pack asks for what it uses and nothing else, and without it nothing is half done"

    def run(self, case: Case) -> Finding:
        """Take each capability out in turn."""
        problems: list[str] = []
        for capability in case.archive.manifest.capabilities:
            problems += self._without(case, capability)
        return Finding.of(problems)

    @staticmethod
    def _without(case: Case, capability: str) -> list[str]:
        problems: list[str] = []
        refused = 0

        async def count(stage: Stage) -> None:
            nonlocal refused
            found = stage.generation(stage.serving())
            refused = found.capabilities_refused if found is not None else 0

        told = tell(
            without_capability(code_of(case.archive), capability), case.story, after=count,
            seed=case.seed,
        )  # fmt: skip
        if not refused:
            what = f"the manifest asks for {capability!r} and no call of the story uses it"
            return [f"{what}: take it out of `capabilities`, or bring a call that needs it"]
        problems += [
            f"without {capability!r}: {one}"
            for one in told.dead_letters
            if "CapabilityRefused" not in one
        ]
        problems += [f"without {capability!r} the books are not whole: {one}" for one in told.books]
        return problems


class RoundTrip(Check):
    """Requests, documents, answers and events of the story, through JSON and back."""

    number = 10
    name = "schema round trip"
    proves = "what the pack takes, stores, answers and sends is as its types and manifest say"

    def run(self, case: Case) -> Finding:
        """Look at all that the story left behind."""
        problems: list[str] = []
        looked = 0

        async def look(stage: Stage) -> None:
            nonlocal looked
            slot = stage.world.node(NODE).plugins.registry.slot(stage.plugin)
            generation = slot.promoted
            assert generation is not None
            for number, problem in enumerate(_all(stage, case, generation), 1):
                looked = number
                problems.extend([problem] if problem else [])

        told = tell(case.archive, case.story, after=look, seed=case.seed)
        problems += _answers(case, told.answers)
        return Finding.of(problems, note=f"{looked} messages and documents")


def _all(stage: Stage, case: Case, generation: Generation) -> Iterator[str]:
    yield from _schemas(generation)
    yield from _requests(stage, case, generation)
    yield from _documents(stage, generation)
    yield from _events(stage, generation)


def _schemas(generation: Generation) -> Iterator[str]:
    """Look at the types themselves: each must have a JSON Schema, and let itself be extended."""
    for one in generation.pack.pack_operations():
        for what, type_ in (("request", one.request), ("result", one.result)):
            try:
                msgspec.json.schema(type_)
            except TypeError as error:
                yield f"the {what} of {one.verb!r} has no JSON Schema: {error}"
            else:
                yield ""
    timers = generation.pack.pack_timers()
    stored = [("the document", one.state) for one in generation.pack.pack_operations()]
    stored += [("the document", one.state) for one in timers]
    stored += [("the timer's body", one.body) for one in timers]
    for what, struct in stored:
        if struct.__struct_config__.forbid_unknown_fields:
            yield (
                f"{what} {struct.__name__} forbids unknown fields: after a rollback an older "
                "version could not read what a newer one wrote"
            )
        else:
            yield ""


def _requests(stage: Stage, case: Case, generation: Generation) -> Iterator[str]:
    requests = {one.verb: one.request for one in generation.pack.pack_operations()}
    for number, call in enumerate(case.story.calls):
        service, _, verb = call.operation.partition(".")
        if service == stage.plugin and call.expect == "ok":
            body = stage.bytes_of(number, call)
            yield _changed(f"the request of {call.text(number)}", body, requests[verb])


def _documents(stage: Stage, generation: Generation) -> Iterator[str]:
    states = {one.name: one.state for one in generation.manifest.collections}
    for row in stage.world.rows("document"):
        if row["pack"] == stage.plugin:
            state = generation.find(states[row["collection"]])
            where = f"the document {row['collection']} {row['key'].partition('/')[2]}"
            yield _changed(where, row["body"].encode(), state)


def _events(stage: Stage, generation: Generation) -> Iterator[str]:
    said = {one.type: one.data for one in generation.manifest.events}
    for row in stage.world.rows("event"):
        if not row["type"].startswith(f"{stage.plugin}."):
            continue
        if row["type"] not in said:
            yield f"the event {row['type']} is not in the manifest"
            continue
        found = [
            _changed("it", row["data"].encode(), generation.find(one)) for one in said[row["type"]]
        ]
        if all(found):
            structs = " or ".join(said[row["type"]])
            yield f"the event {row['type']} carries what is no {structs}: {found[0]}"
        else:
            yield ""


def _changed(what: str, body: bytes, type_: Any) -> str:
    """Return how a message changes when it is read and written again, or nothing."""
    try:
        read = msgspec.json.decode(body, type=type_)
        again = msgspec.json.decode(msgspec.json.encode(read), type=type_)
        missing = _lost(msgspec.json.decode(body), msgspec.to_builtins(read))
    except (msgspec.MsgspecError, TypeError, ValueError) as error:
        return f"{what} cannot be read and written again: {error}"
    if again != read:
        return f"{what} is not the same when it is read, written and read again"
    return f"{what} loses {missing} when it is read" if missing else ""


def _lost(before: Any, after: Any) -> str:
    """Return the name of a field that is in the one and not in the other."""
    if isinstance(before, dict) and isinstance(after, dict):
        for field, one in before.items():
            if field not in after:
                return repr(field)
            if found := _lost(one, after[field]):
                return found
    return ""


def _answers(case: Case, answers: tuple[Any, ...]) -> list[str]:
    internal = [one for one in answers if not one["ok"] and one["error"]["code"] == Internal.code]
    return [f"a call of the story failed: {one['error']['message']}" for one in internal]
