"""Plugins (插件) as data: the plan that all nodes follow, and the archives that it names."""

from functools import partial

from actors.parts import Parts
from actors.plugins.archive_actor import ArchiveActor
from actors.plugins.archives import ARCHIVE_TABLE, PART_TABLE
from actors.plugins.plan_actor import PlanActor
from actors.plugins.plan_catalog import PlanCatalog
from actors.plugins.records import PLAN_KIND, PLAN_TABLE
from actors.plugins.trust import PluginTrust
from kernel.host import Host
from kernel.journal import FactTable
from kernel.memory_tables import Table
from schemas.subjects import OPERATOR_APP, event_subject

__all__ = ("FACT_TABLES", "PLUGIN_EVENTS", "TABLES", "PlanCatalog", "PluginTrust", "hosts")

_RECORDS = (PLAN_TABLE, ARCHIVE_TABLE, PART_TABLE)

TABLES: tuple[Table, ...] = tuple(one.memory_table for one in _RECORDS)

FACT_TABLES: tuple[FactTable, ...] = tuple(one.fact_table for one in _RECORDS)

# Every change of the plan is told here: a node that listens need not wait for its next look.
PLUGIN_EVENTS = event_subject(OPERATOR_APP, "plugin.*")


def hosts(parts: Parts) -> tuple[Host, ...]:
    """Return the hosts of the plan and of archives."""
    trust = PluginTrust.from_settings(parts.settings)
    return (
        parts.keyed_host(PLAN_KIND, partial(PlanActor, parts=parts, trust=trust)),
        parts.entity_host(ArchiveActor),
    )
