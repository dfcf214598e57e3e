"""A seeded day of a campus, and what must come of it."""
