"""The keeper of the plan: the verbs of an operator, and what nodes ask of it."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, ClassVar, Protocol

import msgspec
from msgspec.structs import replace

from actors.entity import Case, EntityActor, Plan, RecordChange, decides, reads
from actors.plugins.archives import ARCHIVE_TABLE, StoredArchive, load_archive
from actors.plugins.records import (
    ASK_ROLLBACK_TYPE,
    OFFER_TYPE,
    PLAN_KIND,
    PLAN_TABLE,
    AskRollback,
    OfferBundled,
    PluginPlan,
    find_unreadable,
    is_news,
    public_change,
    public_generation,
)
from actors.plugins.trust import WITH_THE_PROGRAM, PluginTrust
from kernel.actor import ActorContext
from kernel.plugins.catalog import DesiredGeneration, DesiredState
from kernel.plugins.errors import ArchiveInvalid, GenerationUnknown, TransitionRefused
from kernel.plugins.plans import (
    plan_canary,
    plan_drain,
    plan_load,
    plan_pause,
    plan_promote,
    plan_resume,
    plan_rollback,
    plan_unload,
)
from kernel.plugins.registry import GENERATIONS_MAX
from kernel.plugins.signature import Signature
from schemas.errors import InvalidField
from schemas.plugins import (
    PPM,
    DrainPlugin,
    GenerationDetails,
    ListPlugins,
    LoadPlugin,
    PausePlugin,
    PluginArchive,
    PluginChanged,
    PluginDetails,
    PluginList,
    PluginSummary,
    PromotePlugin,
    ResumePlugin,
    RollbackPlugin,
    ShowPlugin,
    UnloadPlugin,
)
from schemas.subjects import OPERATOR_APP

if TYPE_CHECKING:
    from actors.parts import Parts

__all__ = ("BUNDLED_REASON", "PlanActor")

BUNDLED_REASON = "came with the program"

_PERCENT_PPM = PPM // 100


class _Asked(Protocol):
    """What all requests of operators have."""

    @property
    def name(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def by(self) -> str: ...


class PlanActor(EntityActor):
    """The plan, which is one entity: every change of it makes the next version."""

    kind = PLAN_KIND
    table: ClassVar = PLAN_TABLE

    def __init__(self, context: ActorContext, *, parts: "Parts", trust: PluginTrust) -> None:
        super().__init__(context, parts=parts)
        self._trust = trust

    # The verbs of an operator.

    @decides("plugin.load", LoadPlugin)
    async def load(self, request: LoadPlugin, case: Case) -> Plan:
        """Check an archive, who signed it, and have it loaded."""
        record, archive = await load_archive(case.store, request.sha256)
        manifest = archive.manifest
        if manifest.name != request.name:
            raise ArchiveInvalid(
                f"the archive is of {manifest.name!r}, and not of {request.name!r}", field="name"
            )
        known = record.state.about
        assert known is not None
        signature, vouched_by = record.state.signature, known.vouched_by
        if request.signature is not None:
            signature = msgspec.convert(msgspec.to_builtins(request.signature), Signature)
        if request.signature is not None or vouched_by != WITH_THE_PROGRAM:
            keys = self._trust.keys
            vouched_by = "" if keys is None else keys.verify(archive, signature)
        state = _state(case)
        after = plan_load(state.plan, request.name, request.sha256, version=manifest.version)
        number = max(
            one.generation
            for one in after.generations
            if one.name == request.name and one.sha256 == request.sha256
        )
        about = replace(known, vouched_by=vouched_by)
        vouched = replace(record.state, about=about, signature=signature)
        plan = _planned(case, state, after, "loaded", request, number)
        if vouched == record.state:
            return plan
        also = RecordChange(ARCHIVE_TABLE, record.key, record.version, record.app, vouched)
        return replace(plan, also=(also,))

    @decides("plugin.promote", PromotePlugin)
    async def promote(self, request: PromotePlugin, case: Case) -> Plan:
        """Have a generation serve all keys, or a share."""
        state = _state(case)
        name, number = request.name, request.generation
        share = _share_of(request)
        previous = _serving(state.plan, name)
        if share is None:
            after = plan_promote(state.plan, name, number, request.reason)
        else:
            after = plan_canary(state.plan, name, number, share, request.reason)
        if share != 0:
            await self._check_readable(case, name, state.plan, after.generations)
        verb = "promoted" if share is None else "canary_set"
        return _planned(case, state, after, verb, request, number, previous)

    @decides("plugin.drain", DrainPlugin)
    async def drain(self, request: DrainPlugin, case: Case) -> Plan:
        """Have a generation stop."""
        state = _state(case)
        after = plan_drain(state.plan, request.name, request.generation, request.reason)
        return _planned(case, state, after, "drained", request, request.generation)

    @decides("plugin.unload", UnloadPlugin)
    async def unload(self, request: UnloadPlugin, case: Case) -> Plan:
        """Have a generation forgotten, unless documents need it."""
        state = _state(case)
        after = plan_unload(state.plan, request.name, request.generation)
        if not request.leave_documents:
            await self._check_readable(case, request.name, state.plan, after.generations)
        gone = _find(state.plan, request.name, request.generation)
        answer = public_change(
            gone, after.version, who=_who(request), reason=request.reason, state="unloaded"
        )
        return _written(case, state, after, answer, "unloaded")

    @decides("plugin.rollback", RollbackPlugin)
    async def rollback(self, request: RollbackPlugin, case: Case) -> Plan:
        """Go back to what served before."""
        state = _state(case)
        previous = _serving(state.plan, request.name)
        after = plan_rollback(state.plan, request.name, request.reason)
        number = _serving(after, request.name)
        return _planned(case, state, after, "rolled_back", request, number, previous)

    @decides("plugin.pause", PausePlugin)
    async def pause(self, request: PausePlugin, case: Case) -> Plan:
        """Have a plugin take no new messages."""
        return self._set_paused(request, case, plan_pause, "paused")

    @decides("plugin.resume", ResumePlugin)
    async def resume(self, request: ResumePlugin, case: Case) -> Plan:
        """Have a plugin take messages again."""
        return self._set_paused(request, case, plan_resume, "resumed")

    def _set_paused(
        self, request: _Asked, case: Case, change: Callable[[DesiredState, str, str], DesiredState],
        verb: str,
    ) -> Plan:  # fmt: skip
        state = _state(case)
        after = change(state.plan, request.name, request.reason)
        return _planned(case, state, after, verb, request, _serving(after, request.name))

    # What is read.

    @reads("plugin.list", ListPlugins)
    async def list_(self, request: ListPlugins, case: Case) -> PluginList:
        """Return the plan."""
        del request
        plan = _state(case).plan
        names = sorted({one.name for one in plan.generations})
        return PluginList(
            plan_version=plan.version,
            plugins=[
                PluginSummary(
                    name=name,
                    paused=any(one.paused for one in _of(plan, name)),
                    generations=[public_generation(one) for one in _of(plan, name)],
                )
                for name in names
            ],
        )

    @reads("plugin.show", ShowPlugin)
    async def show(self, request: ShowPlugin, case: Case) -> PluginDetails:
        """Return one plugin with its archives."""
        state = _state(case)
        known = _of(state.plan, request.name)
        if not known:
            raise GenerationUnknown(f"the plan has no plugin {request.name!r}", field="name")
        about = await self._about(case, known)
        return PluginDetails(
            name=request.name,
            plan_version=state.plan.version,
            paused=any(one.paused for one in known),
            highest_version=state.highest.get(request.name, ""),
            generations=[
                GenerationDetails(generation=public_generation(one), archive=about[one.sha256])
                for one in known
            ],
        )

    # What nodes ask.

    @decides(OFFER_TYPE, OfferBundled)
    async def offer_bundled(self, request: OfferBundled, case: Case) -> Plan:
        """Load and promote what came with a program, if it is newer than all that ever was."""
        state = _state(case)
        name, who = request.name, f"node {request.node}"
        known = _of(state.plan, name)
        if not is_news(state, name, request.version):
            newest = max(known, key=lambda one: one.generation, default=_nothing(name))
            return Plan(
                answer=public_change(newest, state.plan.version, who=who, reason=newest.reason)
            )
        record, archive = await load_archive(case.store, request.sha256)
        if (archive.manifest.name, archive.manifest.version) != (name, request.version):
            raise ArchiveInvalid(f"the archive is not of {name} {request.version}", field="name")
        loaded = plan_load(
            await self._with_room(case, state.plan, name), name, request.sha256,
            version=request.version,
        )  # fmt: skip
        number = loaded.numbers[name]
        previous = _serving(loaded, name)
        after = plan_promote(loaded, name, number, BUNDLED_REASON)
        await self._check_readable(case, name, state.plan, after.generations)
        about = replace(_about(record.state), vouched_by=WITH_THE_PROGRAM)
        vouched = replace(record.state, about=about, signature=request.signature)
        also = RecordChange(ARCHIVE_TABLE, record.key, record.version, record.app, vouched)
        answer = public_change(
            _find(after, name, number), case.version + 1, who=who, reason=BUNDLED_REASON,
            previous=previous,
        )  # fmt: skip
        plan = _written(case, state, after, answer, "promoted")
        told = replace(answer, state="loaded", previous=0, paused=False)
        first = case.tell("plugin.loaded", name, told)
        return replace(plan, also=(also,), events=(first, *plan.events))

    @decides(ASK_ROLLBACK_TYPE, AskRollback)
    async def ask_rollback(self, request: AskRollback, case: Case) -> Plan:
        """Go back for all nodes, when one had to; what was gone back from already stays."""
        state = _state(case)
        name, bad = request.name, request.generation
        after = plan_rollback(state.plan, name, request.reason, bad=bad)
        who = f"node {request.node}"
        # A bad canary is withdrawn, and what serves stays what it is.
        number = _serving(after, name) or bad
        one = next((one for one in _of(after, name) if one.generation == number), _nothing(name))
        answer = public_change(one, after.version, who=who, reason=request.reason, previous=bad)
        return _written(case, state, after, answer, "rolled_back")

    # What is checked.

    async def _with_room(self, case: Case, plan: DesiredState, name: str) -> DesiredState:
        """Return the plan without the oldest generations that nothing needs, if it is full.

        Otherwise the ninth upgrade of the program would be one too many.
        """
        for one in _of(plan, name):
            if len(_of(plan, name)) < GENERATIONS_MAX:
                break
            if one.state not in ("loaded", "stopped"):
                continue
            without = plan_unload(plan, name, one.generation)
            if not await self._unreadable(case, name, plan, without.generations):
                plan = without
        return plan

    async def _check_readable(
        self, case: Case, name: str, before: DesiredState, left: Iterable[DesiredGeneration]
    ) -> None:
        """Refuse a plan by which nobody could read some of the documents."""
        found = await self._unreadable(case, name, before, left)
        if found:
            raise TransitionRefused(
                f"{found}, which no generation of {name} that would be in the plan can read",
                field="generation",
            )

    async def _unreadable(
        self, case: Case, name: str, before: DesiredState, left: Iterable[DesiredGeneration]
    ) -> str:
        about = await self._about(case, [*_of(before, name), *(x for x in left if x.name == name)])
        readable = {collection: 0 for one in about.values() for collection in one.state_versions}
        for one in left:
            if one.name == name:
                for collection, version in about[one.sha256].state_versions.items():
                    readable[collection] = max(readable[collection], version)
        return await find_unreadable(case.store, name, readable)

    async def _about(
        self, case: Case, generations: Iterable[DesiredGeneration]
    ) -> dict[str, PluginArchive]:
        records = await ARCHIVE_TABLE.load_many(case.store, {one.sha256 for one in generations})
        return {key: _about(record.state) for key, record in records.items()}


def _about(state: StoredArchive) -> PluginArchive:
    # The plan names no archive that is not whole.
    assert state.about is not None
    return state.about


def _state(case: Case) -> PluginPlan:
    return case.state_or_none(PluginPlan) or PluginPlan()


def _of(plan: DesiredState, name: str) -> list[DesiredGeneration]:
    found = (one for one in plan.generations if one.name == name)
    return sorted(found, key=lambda one: one.generation)


def _find(plan: DesiredState, name: str, number: int) -> DesiredGeneration:
    return next(one for one in _of(plan, name) if one.generation == number)


def _nothing(name: str) -> DesiredGeneration:
    return DesiredGeneration(name=name, generation=1, sha256="", state="stopped")


def _serving(plan: DesiredState, name: str) -> int:
    return next((one.generation for one in _of(plan, name) if one.state == "promoted"), 0)


def _who(request: _Asked) -> str:
    return f"{OPERATOR_APP}: {request.by}" if request.by else OPERATOR_APP


def _share_of(request: PromotePlugin) -> int | None:
    if request.canary_percent is None:
        return request.canary_ppm
    if request.canary_ppm is not None:
        raise InvalidField("give the share in percent or in ppm, not both", field="canary_ppm")
    return request.canary_percent * _PERCENT_PPM


def _planned(
    case: Case, state: PluginPlan, after: DesiredState, verb: str, request: _Asked, number: int,
    previous: int = 0,
) -> Plan:  # fmt: skip
    """Return the change of a generation that is in the plan afterwards."""
    one = _find(after, request.name, number)
    answer = public_change(
        one, after.version, who=_who(request), reason=request.reason, previous=previous
    )
    return _written(case, state, after, answer, verb)


def _written(
    case: Case, state: PluginPlan, after: DesiredState, answer: PluginChanged, verb: str
) -> Plan:
    """Return the change that brings a new plan, or only the answer when it is the same."""
    if after == state.plan:
        return Plan(answer=answer)
    # One version for one change, however many steps it took.
    version = case.version + 1
    highest = dict(state.highest)
    for one in after.generations:
        if is_news(PluginPlan(highest=highest), one.name, one.version):
            highest[one.name] = one.version
    answer = replace(answer, plan_version=version)
    return Plan(
        answer=answer,
        state=PluginPlan(plan=replace(after, version=version), highest=highest),
        events=(case.tell(f"plugin.{verb}", answer.name, answer),),
    )
