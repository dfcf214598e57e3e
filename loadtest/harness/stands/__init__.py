"""Services of a run's own, made to be broken or compared."""

from loadtest.harness.stands.stand import NODE, Build, Links, Stand, running_stand

__all__ = ("NODE", "Build", "Links", "Stand", "running_stand")
