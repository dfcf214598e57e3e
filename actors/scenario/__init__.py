"""The host of scenario packs: it turns a pack's plans into durable changes."""

from actors.scenario.scenario_actor import DOCUMENT_TABLE, ScenarioActor, scenario_actor_factory

__all__ = ("DOCUMENT_TABLE", "ScenarioActor", "scenario_actor_factory")
