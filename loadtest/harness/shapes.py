"""Shapes: a run's users or rate over time, worked out by a function once a second."""

__all__ = ("LoadShape", "RateShape")


class LoadShape:
    """How many users there are, over time. Subclass it in a scenario file and write :meth:`tick`.

    It runs in the coordinating process, once a second, and replaces ``--users``.
    """

    def __init__(self) -> None:
        self._run_time_s = 0.0
        self._current_users = 0

    def tick(self) -> tuple[int, float] | None:
        """Return users and how many to start (or stop) a second; None ends the run."""
        raise NotImplementedError

    def get_run_time(self) -> float:
        """Return how many seconds the load has lasted, warm-up included."""
        return self._run_time_s

    def get_current_user_count(self) -> int:
        """Return how many users there were a second ago."""
        return self._current_users

    def advance(self, run_time_s: float, current_users: int) -> None:
        """Tell it what it may ask for; the harness does this before each tick."""
        self._run_time_s = run_time_s
        self._current_users = current_users


class RateShape:
    """How many requests should start a second, over time; replaces ``--arrivals``."""

    def __init__(self) -> None:
        self._run_time_s = 0.0

    def tick(self) -> float | None:
        """Return arrivals a second; None ends the run."""
        raise NotImplementedError

    def get_run_time(self) -> float:
        """Return how many seconds the load has lasted, warm-up included."""
        return self._run_time_s

    def advance(self, run_time_s: float) -> None:
        """Tell it how long the load has lasted; the harness does this before each tick."""
        self._run_time_s = run_time_s
