"""Messages of the rule service, for the back office."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from schemas.identifiers import Identifier, RequestId

__all__ = ("GetRules", "PutRules", "Rules")

_RuleSetName = Annotated[Identifier, Meta(description="Name of a rule set, such as `risk`.")]


class PutRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Replace a rule set; all nodes decide by it within a second. A refused one changes nothing."""

    request_id: RequestId
    name: _RuleSetName
    rules: dict[str, Any]


class GetRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read the rule set in force."""

    name: _RuleSetName


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """A rule set and its version, which is 0 for the one that holds before any was put."""

    name: str
    version: int
    rules: dict[str, Any]
