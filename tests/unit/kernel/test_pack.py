"""What the mark of a pack's operation remembers."""

from typing import Annotated

import msgspec
import pytest

from kernel.pack import Context, Pack, Plan, on_timer, operation
from schemas.errors import ERRORS


class _Ask(msgspec.Struct, frozen=True, kw_only=True):
    request_id: str
    lot: Annotated[str, msgspec.Meta(max_length=3)]


class _Done(msgspec.Struct, frozen=True):
    ok: bool


class _Gate(Pack):
    name = "gate"

    @operation(
        "open", collection="lot", key="lot", state=_Done, result=_Done,
        errors=("not_found",), events=("gate.opened",),
    )  # fmt: skip
    async def open_gate(self, context: Context, message: _Ask, state: _Done | None) -> Plan:
        """Open the gate.

        And let the car through.
        """
        return Plan(result=_Done(True))

    def helper(self) -> None:
        """Is no operation."""

    @operation("look", collection="lot", key="lot", state=_Done, result=_Done, mutates=False)
    async def look(self, context: Context, message: _Ask, state: _Done | None) -> _Done:
        """Look at the gate."""
        return _Done(True)


def test_marked_methods_are_the_operations_in_their_order() -> None:
    """Only marked methods count, and the method, its request and its summary are read from it."""
    opened, looked = _Gate().pack_operations()
    assert (opened.verb, opened.method, opened.mutates) == ("open", "open_gate", True)
    assert opened.request is _Ask
    assert opened.summary == "Open the gate."
    assert (looked.verb, looked.mutates) == ("look", False)


def test_catalogue_entry_routes_to_the_pack() -> None:
    """What the public catalogue gets names the pack's kind, its key and its codes."""
    public = _Gate().operations()[0]
    assert (public.name, public.kind, public.key) == ("gate.open", "pack.gate", "lot")
    assert (public.request, public.result) == (_Ask, _Done)
    assert (public.errors, public.events) == (("not_found",), ("gate.opened",))
    assert set(public.errors) <= set(ERRORS)


def test_method_without_docstring_is_summed_up_by_its_verb() -> None:
    """A missing docstring does not keep a pack from loading."""

    class Quiet(Pack):
        name = "quiet"

        @operation("hush", collection="c", key="lot", state=_Done, result=_Done)
        async def hush(self, context: Context, message: _Ask, state: _Done | None) -> Plan:
            return Plan(result=_Done(True))

    assert Quiet().pack_operations()[0].summary == "hush"


def test_method_without_annotation_is_refused() -> None:
    """A request whose shape is not stated cannot be checked at the edge: it is our own bug."""
    with pytest.raises(TypeError, match="annotation"):

        @operation("x", collection="c", key="k", state=_Done, result=_Done)
        async def method(self, context, message, state):  # type: ignore[no-untyped-def]
            """Do."""


class _Later(msgspec.Struct, frozen=True):
    why: str


@on_timer("close", collection="lot", state=_Done, body=_Later, events=("gate.closed",))
async def _close_later(pack: Pack, context: Context, body: _Later, state: _Done | None) -> Plan:
    """Close the gate."""
    return Plan()


@operation("tell", collection="lot", key="lot", state=_Done, result=_Done, internal=True)
async def _tell_gate(pack: Pack, context: Context, message: _Ask, state: _Done | None) -> Plan:
    """Tell the gate."""
    return Plan(result=_Done(True))


class _Spread(Pack):
    """A pack whose methods stand in other modules, under other names."""

    name = "spread"

    close = _close_later
    tell = _tell_gate


def test_timer_methods_are_found_apart_from_operations() -> None:
    """A timer method is remembered with its body, and is no operation; nor the other way round."""
    pack = _Spread()
    (timer,) = pack.pack_timers()
    assert (timer.name, timer.collection, timer.body) == ("close", "lot", _Later)
    assert timer.events == ("gate.closed",)
    assert [one.verb for one in pack.pack_operations()] == ["tell"]


def test_methods_of_other_modules_are_called_by_their_name_in_the_pack() -> None:
    """What is remembered is the attribute of the pack, whatever the function is called."""
    pack = _Spread()
    (told,), (closed,) = pack.pack_operations(), pack.pack_timers()
    assert getattr(pack, told.method).__func__ is _tell_gate
    assert getattr(pack, closed.method).__func__ is _close_later


def test_internal_operations_are_in_no_catalogue() -> None:
    """The host sees the operation, and the outside does not."""
    assert [one.internal for one in _Spread().pack_operations()] == [True]
    assert _Spread().operations() == ()


def test_a_pack_is_granted_nothing_by_itself() -> None:
    """Capabilities come from the manifest; a pack that nobody gave any has none."""
    assert _Spread().granted == frozenset()
