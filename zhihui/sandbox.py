"""The sandbox: a service whose date can be moved, to try out what takes days."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from actors.rules import RuleSet

if TYPE_CHECKING:
    from zhihui.client import Client

__all__ = ("AHEAD_S_MAX", "SANDBOX_RULES", "SANDBOX_VARIABLE", "SandboxRules", "move_clock")

# Set in the environment of a node that is for trying out.
SANDBOX_VARIABLE = "ZHIHUI_SANDBOX"
# Twenty years: the longest plan of payments, and far from the end of any calendar.
AHEAD_S_MAX = 20 * 366 * 86_400


class SandboxRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """By how many seconds the nodes of a sandbox are ahead of the clock; it never goes back."""

    clock_ahead_s: Annotated[int, Meta(ge=0, le=AHEAD_S_MAX)] = 0


SANDBOX_RULES = RuleSet(name="sandbox", shape=SandboxRules, default=SandboxRules())


async def move_clock(client: "Client", by: timedelta) -> timedelta:
    """Move the date of all nodes forward, and return by how much they are ahead.

    The client is the back office's. The nodes follow within a second.
    """
    found = await client.call("rules", "get", {"name": SANDBOX_RULES.name})
    ahead_s = int(found["rules"]["clock_ahead_s"]) + int(by.total_seconds())
    body = {
        "request_id": f"sandbox-{found['version'] + 1}-{ahead_s}",
        "name": SANDBOX_RULES.name,
        "rules": {"clock_ahead_s": ahead_s},
    }
    await client.call("rules", "put", body)
    return timedelta(seconds=ahead_s)
