"""The whole platform in one process, on virtual time: for packs on trial, and for our own tests."""

from zhihui.simulation.books import check_books
from zhihui.simulation.caller import Caller
from zhihui.simulation.world import World

__all__ = ("Caller", "World", "check_books")
