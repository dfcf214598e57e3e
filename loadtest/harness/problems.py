"""What can keep a run from being made, told to the person who asked for it.

::

    LoadError
    ├── PlanUnusable       an option cannot be understood, or two contradict each other
    ├── ScenarioUnusable   the scenario file cannot be read or does not hold what it must
    └── RunFailed          the run began and could not be brought to a result
"""

__all__ = ("LoadError", "PlanUnusable", "RunFailed", "ScenarioUnusable")


class LoadError(Exception):
    """Root of what keeps a run from being made; the message says what to do."""


class PlanUnusable(LoadError):
    """An option cannot be understood, or two contradict each other."""


class ScenarioUnusable(LoadError):
    """The scenario file cannot be read or does not hold what it must.

    ``line`` is where in ``path``, 0 when the whole file is meant.
    """

    def __init__(self, message: str, *, path: str = "", line: int = 0) -> None:
        where = f"{path}:{line}: " if line else f"{path}: " if path else ""
        super().__init__(f"{where}{message}")
        self.path = path
        self.line = line


class RunFailed(LoadError):
    """The run began and could not be brought to a result."""
