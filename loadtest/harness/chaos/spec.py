"""Chaos steps as they are written: ``10s kill node for 2s``, ``25s slow postgres 20ms for 5s``.

::

    step   = time action [delay] ["for" time]
    action = "kill node" | "stop node" | "pause node"
           | "kill nats" | "restart nats" | "kill postgres" | "restart postgres"
           | "cut nats" | "cut postgres" | "freeze nats" | "freeze postgres"
           | "slow nats" | "slow postgres"
           | "swap" pack
    time   = number ("ms" | "s" | "m")

The first time counts from the start of the measured part. ``for`` is how long it lasts until it is
put right; what happens at once (a restart) has none. ``slow`` wants by how much each way is
delayed. A *node* is the one that owns the journal, so that the step hurts most; a link is that
node's to the server.
"""

import itertools
import re

import msgspec

from loadtest.harness.problems import PlanUnusable

__all__ = ("ChaosStep", "parse_step", "parse_steps")

_FORM = re.compile(
    r"\s*(?P<at>\S+)\s+(?P<verb>[a-z]+)\s+(?P<object>[a-z][a-z0-9_-]*)"
    r"(?:\s+(?P<delay>\d\S*))?(?:\s+for\s+(?P<lasting>\S+))?\s*"
)
_TIME = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>ms|s|m)")
_IN_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0}

# Verb -> what it may be done to, and how long it lasts unless said; None is at once.
_ACTIONS: dict[str, tuple[frozenset[str], float | None]] = {
    "kill": (frozenset({"node", "nats", "postgres"}), 1.0),
    "stop": (frozenset({"node"}), 1.0),
    "pause": (frozenset({"node"}), 2.0),
    "restart": (frozenset({"nats", "postgres"}), None),
    "cut": (frozenset({"nats", "postgres"}), 2.0),
    "freeze": (frozenset({"nats", "postgres"}), 2.0),
    "slow": (frozenset({"nats", "postgres"}), 5.0),
}
_SWAP = "swap"

# A run waits for what it has broken; what lasts longer is a plan of its own.
_LASTING_S_MAX = 300.0
_DELAY_S_MAX = 10.0


class ChaosStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step: ``for_s`` is None for what happens at once, ``delay_s`` 0 for what is not slow."""

    at_s: float
    verb: str
    object: str
    for_s: float | None = None
    delay_s: float = 0.0

    @property
    def name(self) -> str:
        """Return the name of the step's phase."""
        delay = f" {self.delay_s * 1000:g}ms" if self.delay_s else ""
        return f"{self.verb} {self.object}{delay}"


def parse_step(text: str) -> ChaosStep:
    """Read one step; raise :class:`PlanUnusable`."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise PlanUnusable(
            f"{text!r} is not a step. Write when, what, and how long: 10s kill node for 2s"
        )
    at_s = _seconds(found["at"], text)
    verb, target = found["verb"], found["object"]
    delay_s = _seconds(found["delay"], text) if found["delay"] else 0.0
    lasting_s = _seconds(found["lasting"], text) if found["lasting"] else None
    if verb == _SWAP:
        if delay_s or lasting_s is not None:
            raise PlanUnusable(f"{text!r}: a pack is swapped at once, without a delay or a time")
        return ChaosStep(at_s=at_s, verb=verb, object=target)
    allowed, usual_s = _ACTIONS.get(verb, (frozenset(), None))
    if target not in allowed:
        known = "; ".join(
            f"{one} {' or '.join(sorted(targets))}" for one, (targets, _) in _ACTIONS.items()
        )
        raise PlanUnusable(f"{text!r}: there is no {verb} {target}. There are: {known}; swap PACK")
    if (verb == "slow") is not bool(delay_s):
        raise PlanUnusable(f"{text!r}: slow, and nothing else, wants a delay: slow nats 20ms")
    if usual_s is None and lasting_s is not None:
        raise PlanUnusable(f"{text!r}: a {verb} happens at once and has no time")
    for_s = usual_s if lasting_s is None else lasting_s
    if (for_s or 0.0) > _LASTING_S_MAX or delay_s > _DELAY_S_MAX:
        raise PlanUnusable(
            f"{text!r}: at most {_LASTING_S_MAX:g} s long, and {_DELAY_S_MAX:g} s of delay"
        )
    return ChaosStep(at_s=at_s, verb=verb, object=target, for_s=for_s, delay_s=delay_s)


def parse_steps(texts: list[str]) -> tuple[ChaosStep, ...]:
    """Read several steps, in order of their times; two may not overlap."""
    steps = sorted((parse_step(text) for text in texts), key=lambda step: step.at_s)
    for step, following in itertools.pairwise(steps):
        if step.at_s + (step.for_s or 0.0) >= following.at_s:
            raise PlanUnusable(
                f"{following.name} at {following.at_s:g} s begins before {step.name} is over: one "
                "at a time, or nobody knows which of them a figure belongs to"
            )
    return tuple(steps)


def _seconds(text: str, step: str) -> float:
    found = _TIME.fullmatch(text)
    if found is None:
        raise PlanUnusable(f"{step!r}: {text!r} is not a time such as 500ms, 10s or 2m")
    return float(found["number"]) * _IN_SECONDS[found["unit"]]
