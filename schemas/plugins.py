"""Messages about plugins, for the back office: archives brought in parts, and the plan."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.identifiers import RequestId, ShortText

__all__ = (
    "PARTS_MAX",
    "PART_BYTES",
    "PLAN_KEY",
    "PPM",
    "ArchiveSignature",
    "DrainPlugin",
    "GenerationDetails",
    "GenerationMoved",
    "ListPlugins",
    "LoadPlugin",
    "NodeSwitched",
    "PartUploaded",
    "PausePlugin",
    "PluginArchive",
    "PluginChanged",
    "PluginDetails",
    "PluginGeneration",
    "PluginList",
    "PluginStage",
    "PluginSummary",
    "PromotePlugin",
    "ResumePlugin",
    "RollbackPlugin",
    "ShowPlugin",
    "UnloadPlugin",
    "UploadPart",
)

# There is one plan, and one identity that keeps it.
PLAN_KEY = "plan"
# An archive is cut every 40 KiB. What does not compress at all still fits a request of 64 KiB.
PART_BYTES = 40 * 1024
_PART_CHARACTERS_MAX = 56_000
# The largest archive has 230 parts.
PARTS_MAX = 256
PPM = 1_000_000

PluginStage = Literal["loaded", "canary", "promoted", "stopped", "unloaded"]

_PluginName = Annotated[
    str,
    Meta(
        pattern=r"^[a-z][a-z0-9_]{0,31}(?!\n)$",
        description="Name of a plugin, as its manifest says it.",
    ),
]
_Sha256 = Annotated[
    str,
    Meta(
        pattern=r"^[0-9a-f]{64}(?!\n)$",
        description="The SHA-256 of the whole archive, in hexadecimal digits.",
    ),
]
_Generation = Annotated[
    int, Meta(ge=1, le=2**31 - 1, description="Number of a generation, as `plugin.load` gave it.")
]
_Reason = Annotated[ShortText, Meta(description="Why, for people; it stands in the plan.")]
_By = Annotated[
    ShortText, Meta(description="Which person of the back office asks; it is not verified.")
]


class ArchiveSignature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A detached Ed25519 signature, as `zhihui plugin sign` writes it.

    ``key`` is the fingerprint of the public key, ``signature`` is base64.
    """

    name: _PluginName
    version: Annotated[str, Meta(max_length=64)]
    sha256: _Sha256
    key: Annotated[str, Meta(max_length=64)]
    signature: Annotated[str, Meta(max_length=128)]
    format: int = 1


class UploadPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bring one part of an archive: its bytes from ``index`` times 40,960 on, that many at most.

    ``data`` is that part alone, compressed by zlib, in base64. Parts may come in any order and more
    than once; the last one that was missing completes the archive, which is checked then.
    """

    request_id: RequestId
    sha256: _Sha256
    index: Annotated[int, Meta(ge=0, lt=PARTS_MAX)]
    total: Annotated[int, Meta(ge=1, le=PARTS_MAX)]
    data: Annotated[
        str,
        Meta(min_length=1, max_length=_PART_CHARACTERS_MAX, pattern=r"^[A-Za-z0-9+/]+=*(?!\n)$"),
    ]


class PartUploaded(msgspec.Struct, frozen=True, kw_only=True):
    """How far an archive is; ``missing`` are the indexes of the parts that did not come yet."""

    sha256: str
    total: int
    missing: list[int]
    complete: bool


class _AboutPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to the one identity that keeps the plan."""

    @property
    def plan(self) -> str:
        """The key of that identity."""
        return PLAN_KEY


class LoadPlugin(_AboutPlan, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Have every node load an archive that was uploaded; it serves nothing until it is promoted.

    An archive that is loaded already keeps its generation.
    """

    request_id: RequestId
    name: _PluginName
    sha256: _Sha256
    signature: ArchiveSignature | None = None
    reason: _Reason = ""
    by: _By = ""


class PromotePlugin(_AboutPlan, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Have a generation serve: all keys, or a share of them as a canary. A share of 0 ends that.

    The share is given in percent or in parts per million, not both.
    """

    request_id: RequestId
    name: _PluginName
    generation: _Generation
    canary_percent: Annotated[int, Meta(ge=0, le=100)] | None = None
    canary_ppm: Annotated[int, Meta(ge=0, le=PPM)] | None = None
    reason: _Reason = ""
    by: _By = ""


class DrainPlugin(_AboutPlan, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Have a generation that does not serve finish its work and stop; it stays loaded."""

    request_id: RequestId
    name: _PluginName
    generation: _Generation
    reason: _Reason = ""
    by: _By = ""


class UnloadPlugin(_AboutPlan, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Have every node forget a generation. The one that serves only goes as the last.

    Refused while there are documents that no other generation can read, unless these are to be left
    behind: they stay as they are, and nobody reads them until such a generation is loaded again.
    """

    request_id: RequestId
    name: _PluginName
    generation: _Generation
    leave_documents: bool = False
    reason: _Reason = ""
    by: _By = ""


class RollbackPlugin(_AboutPlan, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Have the generation serve again that did before; what serves now is stopped."""

    request_id: RequestId
    name: _PluginName
    reason: _Reason = ""
    by: _By = ""


class PausePlugin(_AboutPlan, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Have a plugin take no new messages, which are answered ``not_ready``."""

    request_id: RequestId
    name: _PluginName
    reason: _Reason = ""
    by: _By = ""


class ResumePlugin(_AboutPlan, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Have a plugin take messages again."""

    request_id: RequestId
    name: _PluginName
    reason: _Reason = ""
    by: _By = ""


class ListPlugins(_AboutPlan, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read the plan: what every node should have."""


class ShowPlugin(_AboutPlan, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read what the plan says of one plugin, and what its archives are."""

    name: _PluginName


class PluginChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A generation as the plan has it after a change; it is in force from ``plan_version`` on.

    ``previous`` is the generation that served before, 0 for none. ``who`` asked: the back office,
    as the person that it named, or a node.
    """

    name: str
    generation: int
    version: str
    sha256: str
    state: PluginStage
    canary_ppm: int
    paused: bool
    previous: int
    plan_version: int
    reason: str
    who: str


class GenerationMoved(msgspec.Struct, frozen=True, kw_only=True):
    """A generation changed its state on a node; ``before`` is null for one that was just loaded.

    States are `loaded`, `starting`, `running`, `draining`, `stopped`, `unloaded` and `faulted`.
    """

    name: str
    generation: int
    version: str
    sha256: str
    node: str
    before: str | None
    after: str
    reason: str
    at: datetime


class NodeSwitched(msgspec.Struct, frozen=True, kw_only=True):
    """Another generation serves on a node, or another share; 0 stands for none.

    ``what`` is `promoted`, `canary`, `rolled_back`, `withdrawn`, `paused`, `resumed`, or
    `unguarded`: the guard asked for a rollback and there was nothing to go back to.
    """

    name: str
    what: str
    promoted: int
    canary: int
    canary_ppm: int
    node: str
    reason: str
    at: datetime


class PluginGeneration(msgspec.Struct, frozen=True, kw_only=True):
    """A generation as the plan has it; ``came_after`` is the one to which a rollback goes."""

    generation: int
    version: str
    sha256: str
    state: PluginStage
    canary_ppm: int
    came_after: int
    reason: str


class PluginSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One plugin of the plan."""

    name: str
    paused: bool
    generations: list[PluginGeneration]


class PluginList(msgspec.Struct, frozen=True, kw_only=True):
    """The plan at a version; every change makes the next."""

    plan_version: int
    plugins: list[PluginSummary]


class PluginArchive(msgspec.Struct, frozen=True, kw_only=True):
    """What an archive says of itself, and who vouches for it; '' when nobody does.

    ``state_versions`` are the versions in which it writes its documents, by collection.
    """

    sha256: str
    name: str
    version: str
    size_bytes: int
    kernel_api: str
    summary: str
    license: str
    capabilities: list[str]
    operations: list[str]
    state_versions: dict[str, int]
    vouched_by: str = ""


class GenerationDetails(msgspec.Struct, frozen=True, kw_only=True):
    """A generation with its archive."""

    generation: PluginGeneration
    archive: PluginArchive


class PluginDetails(msgspec.Struct, frozen=True, kw_only=True):
    """All of one plugin; ``highest_version`` is the newest that the plan ever had."""

    name: str
    plan_version: int
    paused: bool
    highest_version: str
    generations: list[GenerationDetails]
