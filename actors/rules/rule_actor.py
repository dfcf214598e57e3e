"""The actor of rule sets: it keeps a new version when its document is sound."""

from typing import ClassVar

import msgspec

from actors.entity import Case, EntityActor, Plan, decides, reads
from actors.rules.rule_sets import RULE_SET_TABLE, StoredRules
from kernel.journal import FactTable
from schemas.change import Fact
from schemas.rules import GetRules, PutRules, Rules

__all__ = ("RULE_SET_VERSION_TABLE", "RuleActor")

RULE_SET_VERSION_TABLE = FactTable(
    "rule_set_version",
    ("name", "version", "body", "put_at"),
    ("text", "bigint", "text", "timestamptz"),
)


class RuleActor(EntityActor):
    """One rule set. A document that is refused leaves the one in force."""

    kind = "rule_set"
    table: ClassVar = RULE_SET_TABLE

    @decides("rules.put", PutRules)
    async def put(self, request: PutRules, case: Case) -> Plan:
        """Replace the rules by a document that was found sound."""
        self.parts.rules.known(request.name).read(request.rules)
        version = case.version + 1
        rules = Rules(name=request.name, version=version, rules=request.rules)
        body = msgspec.json.encode(request.rules).decode()
        return Plan(
            answer=rules,
            state=StoredRules(request.rules),
            facts=(Fact("rule_set_version", (request.name, version, body, case.now)),),
            events=(case.tell("rules.put", request.name, rules),),
        )

    @reads("rules.get", GetRules)
    async def get(self, request: GetRules, case: Case) -> Rules:
        """Return the rules in force as committed."""
        known = self.parts.rules.known(request.name)
        state = case.state_or_none(StoredRules)
        if state is None:
            return Rules(name=request.name, version=0, rules=msgspec.to_builtins(known.default))
        return Rules(name=request.name, version=case.version, rules=state.rules)
