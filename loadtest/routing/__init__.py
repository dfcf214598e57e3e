"""The benchmark of routing: one seeded world of channels, and several ways to choose among them."""

from loadtest.routing.bench import run_routing_bench

__all__ = ("run_routing_bench",)
