"""A small pack in several versions, which says in each answer which one it is."""

from textwrap import dedent

from kernel.plugins.archive import Archive, pack_files, read_archive

__all__ = ("counter",)

_MANIFEST = """
name = "counter"
version = "{version}"
kernel_api = ">=0.1,<0.2"
entry = "pack:CounterPack"
summary = "Counts what is paid."
capabilities = {capabilities}
state_version = {state_version}

[limits]
handler_ms = 4_000

[[collections]]
name = "counter"
key = "counter_id"
state = "pack:Counter"

[[operations]]
verb = "add"
collection = "counter"
mutates = true

[[operations]]
verb = "get"
collection = "counter"
mutates = false

[[operations]]
verb = "told"
collection = "counter"
mutates = true
internal = true
"""

_CODE = '''
from datetime import timedelta

import anyio
import msgspec

from zhihui.plugin import Context, Pack, Pay, Plan, Schedule, Send, on_timer, operation


class Counter(msgspec.Struct, frozen=True, kw_only=True):
    {field}
    by: str = ""
    rung: int = 0


class Add(msgspec.Struct, frozen=True, kw_only=True):
    request_id: str
    counter_id: str
    amount_minor: int = 0
    payer: str = ""
    payee: str = ""
    remind_in_s: int = 0
    tell: str = ""
    {more}


class Get(msgspec.Struct, frozen=True, kw_only=True):
    counter_id: str


class Total(msgspec.Struct, frozen=True, kw_only=True):
    total: int
    by: str
    seen: str = ""
    rung: int = 0


class Bell(msgspec.Struct, frozen=True, kw_only=True):
    amount: int = 0


class CounterPack(Pack):
    name = "counter"

    async def self_test(self):
        {self_test}

    @operation("add", collection="counter", key="counter_id", state=Counter, result=Total)
    async def add(self, context: Context, message: Add, counter: Counter | None) -> Plan:
        """Add to the counter, and pay for it."""
        {before}
        seen = "" if counter is None else counter.by
        before = 0 if counter is None else {read}
        total = before + message.amount_minor
        rung = 0 if counter is None else counter.rung
        effects = []
        if message.payer:
            effects.append(Pay(payer=message.payer, payee=message.payee, amount_minor=1))
        if message.remind_in_s:
            due = context.now + timedelta(seconds=message.remind_in_s)
            effects.append(Schedule(name="bell", due_at=due, body=Bell(amount=1)))
        if message.tell:
            effects.append(Send(verb="told", body=Add(request_id="sent", counter_id=message.tell)))
        return Plan(
            state=Counter({write}, by="{version}", rung=rung),
            effects=tuple(effects),
            result=Total(total=total, by="{version}", seen=seen, rung=rung),
        )

    @operation("told", collection="counter", key="counter_id", state=Counter, result=Total,
               internal=True)
    async def told(self, context: Context, message: Add, counter: Counter | None) -> Plan:
        """Count what another one sent."""
        return await self.ring(context, Bell(amount=1), counter)

    @on_timer("{timer}", collection="counter", state=Counter, body=Bell)
    async def ring(self, context: Context, body: Bell, counter: Counter | None) -> Plan:
        """Count a bell."""
        {on_timer}
        total = 0 if counter is None else {read}
        rung = 0 if counter is None else counter.rung
        return Plan(state=Counter({write}, by="{version}", rung=rung + body.amount))

    @operation("get", collection="counter", key="counter_id", state=Counter, result=Total,
               mutates=False)
    async def get(self, context: Context, message: Get, counter: Counter | None) -> Total:
        """Read the counter."""
        if counter is None:
            return Total(total=0, by="{version}")
        return Total(total={read}, by="{version}", seen=counter.by, rung=counter.rung)

    def migrate(self, collection, from_version, to_version, document):
        {migrate}
'''

_MIGRATE = """
if to_version == 2:
    {broken}
    parts = [document.pop("total")]
    return {{**document, "parts": parts}}
return {{**{{k: v for k, v in document.items() if k != "parts"}}, "total": sum(document["parts"])}}
"""


def counter(
    version: str = "1.0.0",
    *,
    state_version: int = 1,
    before: str = "pass",
    on_timer: str = "pass",
    self_test: str = "pass",
    migrate: str = "pass",
    timer: str = "bell",
    more: str = 'note: str = ""',
    capabilities: tuple[str, ...] = ("pay", "schedule", "send"),
) -> Archive:
    """Return the archive of a version; ``before`` and ``on_timer`` come first in its methods.

    ``more`` is a field of its request. State version 1 keeps a total, 2 the parts of it;
    ``migrate`` is done first on the way forward.
    """
    old = state_version == 1
    code = _CODE.format(
        version=version,
        field="total: int = 0" if old else "parts: tuple[int, ...] = ()",
        read="counter.total" if old else "sum(counter.parts)",
        write="total=total" if old else "parts=(total,)",
        before=before,
        on_timer=on_timer,
        self_test=self_test,
        timer=timer,
        more=more,
        migrate=_indented(_MIGRATE.format(broken=migrate)),
    )
    manifest = _MANIFEST.format(
        version=version, state_version=state_version, capabilities=list(capabilities)
    )
    files = {"plugin.toml": manifest.encode(), "pack.py": code.encode()}
    return read_archive(pack_files(files))


def _indented(text: str) -> str:
    return dedent(text).strip().replace("\n", "\n        ")
