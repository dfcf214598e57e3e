"""The host of scenario packs: it turns a pack's plans into durable changes."""

from actors.scenario.documents import DOCUMENT_TABLE
from actors.scenario.rewriting import PackDocuments, Rewriter
from actors.scenario.scenario_actor import ScenarioActor, scenario_actor_factory
from actors.scenario.served_pack import EffectRefused, served_by

__all__ = (
    "DOCUMENT_TABLE",
    "EffectRefused",
    "PackDocuments",
    "Rewriter",
    "ScenarioActor",
    "scenario_actor_factory",
    "served_by",
)
