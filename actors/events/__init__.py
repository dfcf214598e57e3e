"""Events, for those who ask for them (事件查询)."""

from actors.events.event_query_actor import EventQueryActor

__all__ = ("EventQueryActor",)
