"""Entities: things with an identity, a state that changes step by step, and a version."""

from actors.entity.entity_actor import EntityActor, decides, reads
from actors.entity.plan import Case, Part, Plan, RecordChange, Tell, merge
from actors.entity.record import Record, RecordTable

__all__ = (
    "Case",
    "EntityActor",
    "Part",
    "Plan",
    "Record",
    "RecordChange",
    "RecordTable",
    "Tell",
    "decides",
    "merge",
    "reads",
)
