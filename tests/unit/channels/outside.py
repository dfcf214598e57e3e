"""The channels of a world on virtual time, where the tests of channels look for them."""

from zhihui.simulation.outside import MemoryChannel, Outside

__all__ = ("MemoryChannel", "Outside")
