"""A week of two wholesale markets, made by a seeded generator, with what must come of it."""
