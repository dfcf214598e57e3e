"""A bank as a textbook has it: one request after the other, in a few hundred plain lines.

It shares nothing with the actors but the words of the public contract, so that what both say is
said twice.
"""

from zhihui.simulation.model.bank import Bank
from zhihui.simulation.model.books import Refused

__all__ = ("Bank", "Refused")
