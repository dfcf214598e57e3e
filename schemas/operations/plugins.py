"""Operations of the plugin service, all of the back office."""

import msgspec

from schemas.operation import Operation
from schemas.plugins import (
    DrainPlugin,
    GenerationMoved,
    ListPlugins,
    LoadPlugin,
    NodeSwitched,
    PartUploaded,
    PausePlugin,
    PluginChanged,
    PluginDetails,
    PluginList,
    PromotePlugin,
    ResumePlugin,
    RollbackPlugin,
    ShowPlugin,
    UnloadPlugin,
    UploadPart,
)

__all__ = ("EVENTS", "OPERATIONS")


def _change(
    verb: str, request: type[msgspec.Struct], summary: str, *events: str, forbidden: bool = False
) -> Operation:
    return Operation(
        service="plugin",
        verb=verb,
        request=request,
        result=PluginChanged,
        kind="plugin",
        key="plan",
        mutates=True,
        summary=summary,
        errors=("not_found", "invalid_state", *(("forbidden",) if forbidden else ())),
        events=tuple(f"plugin.{event}" for event in events),
        operator=True,
    )


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        service="plugin",
        verb="upload",
        request=UploadPart,
        result=PartUploaded,
        kind="plugin_archive",
        key="sha256",
        mutates=True,
        summary="Bring one part of an archive.",
        errors=("message_too_large",),
        operator=True,
    ),
    _change(
        "load",
        LoadPlugin,
        "Have every node load an archive, which serves nothing yet.",
        "loaded",
        "generation_moved",
        forbidden=True,
    ),
    _change(
        "promote",
        PromotePlugin,
        "Have a generation serve all keys, or a share of them as a canary.",
        "promoted",
        "canary_set",
        "node_switched",
    ),
    _change("drain", DrainPlugin, "Have a generation finish its work and stop.", "drained"),
    _change("unload", UnloadPlugin, "Have every node forget a generation.", "unloaded"),
    _change("rollback", RollbackPlugin, "Go back to what served before.", "rolled_back"),
    _change("pause", PausePlugin, "Have a plugin take no new messages.", "paused"),
    _change("resume", ResumePlugin, "Have a plugin take messages again.", "resumed"),
    Operation(
        service="plugin",
        verb="list",
        request=ListPlugins,
        result=PluginList,
        kind="plugin",
        key="plan",
        mutates=False,
        summary="Read the plan of all plugins.",
        operator=True,
    ),
    Operation(
        service="plugin",
        verb="show",
        request=ShowPlugin,
        result=PluginDetails,
        kind="plugin",
        key="plan",
        mutates=False,
        summary="Read what the plan says of one plugin, and its archives.",
        errors=("not_found",),
        operator=True,
    ),
)

# What a node tells of itself, after whatever change of the plan.
_OF_NODES: dict[str, tuple[type[msgspec.Struct], ...]] = {
    "plugin.generation_moved": (GenerationMoved,),
    "plugin.node_switched": (NodeSwitched,),
}

EVENTS: dict[str, tuple[type[msgspec.Struct], ...]] = {
    event: _OF_NODES.get(event, (PluginChanged,))
    for operation in OPERATIONS
    for event in operation.events
}
