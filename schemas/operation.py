"""The description of one public operation: the single source for routing, docs and clients."""

from typing import Any

import msgspec

__all__ = ("Operation",)


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One verb of one service.

    ``kind`` is the kind of actor that handles it and ``key`` the request's field whose value
    selects the identity. ``mutates`` tells whether the request carries a ``request_id``.
    ``errors`` are the codes it may answer beyond those that every operation may. ``events`` are the
    types that it may emit. ``operator`` is for the back office alone, and others are ``forbidden``.
    A ``sensitive`` request carries data of a person: it is not taken where bodies are kept. The
    body of a ``late`` one is decoded by its actor, since several versions of it may be served at a
    time; whoever brings it reads only where it goes and under which id.
    """

    service: str
    verb: str
    request: type[msgspec.Struct]
    result: Any
    kind: str
    key: str
    mutates: bool
    summary: str
    errors: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    operator: bool = False
    sensitive: bool = False
    late: bool = False

    @property
    def name(self) -> str:
        """Return ``<service>.<verb>``."""
        return f"{self.service}.{self.verb}"
