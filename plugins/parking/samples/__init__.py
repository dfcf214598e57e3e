"""A day of a city's car parks, made by a seeded generator, with what must come of it."""
