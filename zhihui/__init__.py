"""zhihui: the transaction engine of a scenario-finance platform."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zhihui.client import Client

__all__ = ("Client",)


def __getattr__(name: str) -> Any:
    # Packs import `zhihui.plugin`; loading the client lazily keeps the bus out of their reach.
    if name == "Client":
        from zhihui.client import Client

        return Client
    raise AttributeError(f"module 'zhihui' has no attribute {name!r}")
