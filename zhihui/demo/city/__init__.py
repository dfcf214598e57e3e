"""The city: a scripted day, month and year of the whole bank, with what must come of it."""

__all__ = ()
