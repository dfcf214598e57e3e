"""A pack that passes every check; the tests break it in one place at a time."""
