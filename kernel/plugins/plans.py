"""The verbs of an operator, as changes of the plan that every node follows.

Each takes a plan and returns the next one, or raises why that cannot be. Nothing is done here:
who keeps the plan writes it, and the nodes bring it about.
"""

from msgspec.structs import replace

from kernel.plugins.catalog import DesiredGeneration, DesiredState, check_desired
from kernel.plugins.errors import GenerationUnknown, TransitionRefused
from kernel.plugins.registry import GENERATIONS_MAX
from kernel.plugins.slot import PPM

__all__ = (
    "plan_canary",
    "plan_drain",
    "plan_load",
    "plan_pause",
    "plan_promote",
    "plan_resume",
    "plan_rollback",
    "plan_unload",
)


def plan_load(plan: DesiredState, name: str, sha256: str, *, version: str) -> DesiredState:
    """Have every node load an archive as the next generation of its plugin; it serves nothing yet.

    An archive that is there already, and not stopped, is not loaded twice: the plan stays.
    """
    known = _of(plan, name)
    if any(one.sha256 == sha256 and one.state != "stopped" for one in known):
        return plan
    if len(known) >= GENERATIONS_MAX:
        raise TransitionRefused(f"{name} has {len(known)} generations; unload some first")
    number = plan.numbers.get(name, 0) + 1
    new = DesiredGeneration(
        name=name, generation=number, sha256=sha256, state="loaded", version=version
    )
    return _next(plan, (*plan.generations, new), {**plan.numbers, name: number})


def plan_promote(plan: DesiredState, name: str, number: int, reason: str = "") -> DesiredState:
    """Have a generation serve; the one before stays loaded, for a rollback."""
    wanted = _find(plan, name, number)
    before = _promoted(plan, name)
    if wanted.state == "promoted":
        return _without_canary(plan, name) if _canary(plan, name) else plan
    changed = {
        number: replace(
            wanted,
            state="promoted",
            canary_ppm=0,
            paused=before.paused if before else False,
            came_after=before.generation if before else 0,
            reason=reason,
        )
    }
    if before is not None:
        changed[before.generation] = replace(before, state="loaded", paused=False, reason=reason)
    canary = _canary(plan, name)
    if canary is not None and canary.generation != number:
        changed[canary.generation] = replace(canary, state="loaded", canary_ppm=0, reason=reason)
    return _changed(plan, name, changed)


def plan_canary(
    plan: DesiredState, name: str, number: int, ppm: int, reason: str = ""
) -> DesiredState:
    """Have a generation serve a share of the keys beside the promoted one; 0 ends that."""
    wanted = _find(plan, name, number)
    if not 0 <= ppm <= PPM:
        raise TransitionRefused(f"{ppm} ppm is no share; it is 0 to {PPM}", field="canary_ppm")
    if wanted.state == "promoted":
        raise TransitionRefused(f"{name} g{number} serves all keys already")
    if _promoted(plan, name) is None:
        raise TransitionRefused(f"{name} has no version that serves the other keys; promote one")
    if ppm == 0:
        return _without_canary(plan, name) if wanted.state == "canary" else plan
    changed = {number: replace(wanted, state="canary", canary_ppm=ppm, reason=reason)}
    canary = _canary(plan, name)
    if canary is not None and canary.generation != number:
        changed[canary.generation] = replace(canary, state="loaded", canary_ppm=0, reason=reason)
    return _changed(plan, name, changed)


def plan_rollback(plan: DesiredState, name: str, reason: str = "", *, bad: int = 0) -> DesiredState:
    """Have the generation serve again that did before; what served is stopped.

    With ``bad`` it is a node that asks, about that generation: if it does not serve by the plan, it
    was gone back from already and the plan stays. A bad canary is only withdrawn.
    """
    promoted, canary = _promoted(plan, name), _canary(plan, name)
    if bad and canary is not None and canary.generation == bad:
        stopped = replace(canary, state="stopped", canary_ppm=0, reason=reason)
        return _changed(plan, name, {bad: stopped})
    if promoted is None or (bad and promoted.generation != bad):
        if bad:
            return plan
        raise TransitionRefused(f"{name} has no version that serves")
    back = next((one for one in _of(plan, name) if one.generation == promoted.came_after), None)
    if back is None:
        raise TransitionRefused(
            f"{name} has no version to go back to; load one and promote it", field="name"
        )
    changed = {
        back.generation: replace(
            back, state="promoted", canary_ppm=0, paused=promoted.paused, reason=reason
        ),
        promoted.generation: replace(promoted, state="stopped", paused=False, reason=reason),
    }
    if canary is not None and canary is not back:
        changed[canary.generation] = replace(canary, state="loaded", canary_ppm=0, reason=reason)
    return _changed(plan, name, changed)


def plan_drain(plan: DesiredState, name: str, number: int, reason: str = "") -> DesiredState:
    """Have a generation that does not serve finish its work and stop; it stays loaded."""
    wanted = _find(plan, name, number)
    if wanted.state in ("promoted", "canary"):
        raise TransitionRefused(
            f"{name} g{number} serves; promote another or unload the whole plugin"
        )
    return _changed(plan, name, {number: replace(wanted, state="stopped", reason=reason)})


def plan_unload(plan: DesiredState, name: str, number: int) -> DesiredState:
    """Have every node forget a generation. The promoted one only goes as the last of its plugin."""
    wanted = _find(plan, name, number)
    if wanted.state == "canary" or (wanted.state == "promoted" and len(_of(plan, name)) > 1):
        raise TransitionRefused(f"{name} g{number} serves and cannot be unloaded")
    return _next(plan, tuple(one for one in plan.generations if one is not wanted), plan.numbers)


def plan_pause(plan: DesiredState, name: str, reason: str = "") -> DesiredState:
    """Have a plugin take no new work."""
    return _set_paused(plan, name, reason, paused=True)


def plan_resume(plan: DesiredState, name: str, reason: str = "") -> DesiredState:
    """Have a plugin take work again."""
    return _set_paused(plan, name, reason, paused=False)


def _set_paused(plan: DesiredState, name: str, reason: str, *, paused: bool) -> DesiredState:
    promoted = _promoted(plan, name)
    if promoted is None:
        raise TransitionRefused(f"{name} has no version that serves")
    changed = replace(promoted, paused=paused, reason=reason)
    return _changed(plan, name, {promoted.generation: changed})


def _of(plan: DesiredState, name: str) -> list[DesiredGeneration]:
    return [one for one in plan.generations if one.name == name]


def _find(plan: DesiredState, name: str, number: int) -> DesiredGeneration:
    for one in _of(plan, name):
        if one.generation == number:
            return one
    known = ", ".join(str(one.generation) for one in _of(plan, name)) or "none"
    raise GenerationUnknown(
        f"{name} has no generation {number}; it has {known}", field="generation"
    )


def _promoted(plan: DesiredState, name: str) -> DesiredGeneration | None:
    return next((one for one in _of(plan, name) if one.state == "promoted"), None)


def _canary(plan: DesiredState, name: str) -> DesiredGeneration | None:
    return next((one for one in _of(plan, name) if one.state == "canary"), None)


def _without_canary(plan: DesiredState, name: str) -> DesiredState:
    canary = _canary(plan, name)
    assert canary is not None
    return _changed(plan, name, {canary.generation: replace(canary, state="loaded", canary_ppm=0)})


def _changed(plan: DesiredState, name: str, changed: dict[int, DesiredGeneration]) -> DesiredState:
    after = tuple(
        changed.get(one.generation, one) if one.name == name else one for one in plan.generations
    )
    return plan if after == plan.generations else _next(plan, after, plan.numbers)


def _next(
    plan: DesiredState, generations: tuple[DesiredGeneration, ...], numbers: dict[str, int]
) -> DesiredState:
    after = DesiredState(version=plan.version + 1, generations=generations, numbers=numbers)
    check_desired(after)
    return after
