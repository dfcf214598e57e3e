"""What a run is told: everything that decides what load is made, and how it is judged."""

from typing import Literal

import msgspec

__all__ = ("Engine", "RunPlan")

# "users" run a scenario's User classes through the public client; "lean" sends a scenario's Flows
# over the lean client, for proofs of rates that users' Python could not make.
Engine = Literal["users", "lean"]


class RunPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One run. ``arrivals`` makes it open, ``users`` closed; the scenario decides when neither.

    ``arrivals`` is written as on the command line, see :mod:`loadtest.harness.arrivals`.
    ``duration_s`` is of the measured part, after ``warmup_s``. ``scenario`` is the path of a file,
    or the name of a bundled one. ``url`` may hold a password and is left out of results.
    """

    scenario: str
    url: str = ""
    app: str = ""
    engine: Engine = "users"
    users: int | None = None
    spawn_rate: float | None = None
    arrivals: str | None = None
    poisson: bool = False
    duration_s: float | None = None
    warmup_s: float | None = None
    drain_s: float = 10.0
    timeout_s: float = 5.0
    processes: int = 1
    seed: int = 1
    tags: tuple[str, ...] = ()
    exclude_tags: tuple[str, ...] = ()
    thresholds: tuple[str, ...] = ()
    # Bound on requests under way, of all processes together; an arrival beyond it is dropped.
    in_flight_max: int = 20_000
    allow_host: str | None = None
    # Hexadecimal key of the fingerprints of acknowledged ids; made for the run when empty.
    tally_key: str = ""
    # Waits for RunControl.start() before the load begins, as the live page wants it.
    wait_for_start: bool = False
    # Whatever a scenario wants to be told: `--set payers=1000`.
    settings: dict[str, str] = {}
