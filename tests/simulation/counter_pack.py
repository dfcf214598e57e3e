"""The counting pack, where the tests of plugins look for it."""

from zhihui.simulation.counter_pack import counter

__all__ = ("counter",)
