"""The plan as it is kept, and the messages about it that nodes send."""

import msgspec

from actors.entity import RecordTable
from kernel.plugins.catalog import DesiredGeneration, DesiredState
from kernel.plugins.signature import Signature
from kernel.plugins.versions import Version
from kernel.store import Query, Store, Where
from schemas.plugins import PluginChanged, PluginGeneration, PluginStage

__all__ = (
    "ASK_ROLLBACK_TYPE",
    "OFFER_TYPE",
    "PLAN_KIND",
    "PLAN_TABLE",
    "AskRollback",
    "OfferBundled",
    "PluginPlan",
    "find_unreadable",
    "is_news",
    "public_change",
    "public_generation",
)

PLAN_KIND = "plugin"
OFFER_TYPE = "plugin.offer_bundled"
ASK_ROLLBACK_TYPE = "plugin.ask_rollback"


class PluginPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The plan; ``highest`` is the newest version that each plugin ever had in it."""

    plan: DesiredState = DesiredState(version=0)
    highest: dict[str, str] = {}


PLAN_TABLE = RecordTable(name="plugin_plan", key="plan", state=PluginPlan)


class OfferBundled(msgspec.Struct, frozen=True, kw_only=True):
    """A node says what came with its program; the archive was uploaded before."""

    request_id: str
    name: str
    version: str
    sha256: str
    node: str
    signature: Signature | None = None


class AskRollback(msgspec.Struct, frozen=True, kw_only=True):
    """A node took a generation out of service; the plan should follow."""

    request_id: str
    name: str
    generation: int
    reason: str
    node: str


def is_news(state: PluginPlan, name: str, version: str) -> bool:
    """Tell whether a version is newer than all that the plan ever had of the plugin."""
    highest = state.highest.get(name)
    return highest is None or Version(version) > Version(highest)


def public_generation(one: DesiredGeneration) -> PluginGeneration:
    """Return a generation as the public messages show it."""
    return PluginGeneration(
        generation=one.generation,
        version=one.version,
        sha256=one.sha256,
        state=one.state,
        canary_ppm=one.canary_ppm,
        came_after=one.came_after,
        reason=one.reason,
    )


def public_change(
    one: DesiredGeneration, plan_version: int, *, who: str, reason: str, previous: int = 0,
    state: PluginStage | None = None,
) -> PluginChanged:  # fmt: skip
    """Return what became of a generation; ``state`` when it is not in the plan any more."""
    return PluginChanged(
        name=one.name,
        generation=one.generation,
        version=one.version,
        sha256=one.sha256,
        state=state or one.state,
        canary_ppm=0 if state else one.canary_ppm,
        paused=False if state else one.paused,
        previous=previous,
        plan_version=plan_version,
        reason=reason,
        who=who,
    )


async def find_unreadable(store: Store, name: str, readable: dict[str, int]) -> str:
    """Return a document that is beyond what can be read, in words; '' when there is none.

    ``readable`` is the highest state version that can be read, by collection; 0 for a collection
    that nobody reads.
    """
    for collection, version in sorted(readable.items()):
        rows = await store.fetch(
            Query(
                table="document",
                columns=("key", "state_version"),
                where=(
                    Where("pack", "=", name),
                    Where("collection", "=", collection),
                    Where("state_version", ">", version),
                ),
                limit=1,
            )
        )
        if rows:
            key, found = rows[0]
            return f"{collection} {key!r} is written in state version {found}"
    return ""
