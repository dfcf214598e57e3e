"""One claim of the audit."""

import msgspec

__all__ = ("Check",)


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One claim about the database; ``tables`` are those whose rows it looks at, all of them."""

    name: str
    claim: str
    tables: tuple[str, ...]
    sql: str
