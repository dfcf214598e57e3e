"""Routing over payment channels: eligibility, score, choice."""

from actors.channels.routing.choice_rows import (
    ROUTE_CHOICE_COLUMNS,
    ROUTE_CHOICE_MEMORY_TABLE,
    ROUTE_CHOICE_TABLE,
    choice_fact,
)
from actors.channels.routing.port import PortRouter, make_router, router_of
from actors.channels.routing.router import Router
from actors.channels.routing.rules import ROUTING_RULES, check_rules

__all__ = (
    "ROUTE_CHOICE_COLUMNS",
    "ROUTE_CHOICE_MEMORY_TABLE",
    "ROUTE_CHOICE_TABLE",
    "ROUTING_RULES",
    "RULE_SETS",
    "PortRouter",
    "Router",
    "check_rules",
    "choice_fact",
    "make_router",
    "router_of",
)

RULE_SETS = (ROUTING_RULES,)
