"""What is read here of the terms of the bank's channels and of a profile of their simulator.

Both live in rooms that this one does not import; whoever runs the benchmark hands them in.
"""

from collections.abc import Sequence
from typing import Protocol

__all__ = ("Behaviour", "BehaviourPhase", "ChannelBehaviour", "OutageWindow", "Terms")


class Terms(Protocol):
    """What a channel costs and takes."""

    @property
    def name(self) -> str:
        """Its name, as the profile has it."""

    def fee_minor(self, amount_minor: int) -> int:
        """Return the fee for a payment, in minor units."""

    def takes(self, method: str, amount_minor: int) -> bool:
        """Tell whether it takes such a payment."""


class OutageWindow(Protocol):
    """Seconds in which a channel does nothing; only a ``silent`` one lets callers wait."""

    @property
    def from_s(self) -> float:
        """When it begins."""

    @property
    def to_s(self) -> float:
        """When it has ended."""

    @property
    def kind(self) -> str:
        """How requests fail meanwhile."""


class BehaviourPhase(Protocol):
    """What is different from ``from_s`` on; None leaves a share as it is."""

    @property
    def from_s(self) -> float:
        """When it begins; it ends with the next."""

    @property
    def failure_ppm(self) -> int | None:
        """How many are refused for the channel's own reasons."""

    @property
    def timeout_before_ppm(self) -> int | None:
        """How many are lost before they take effect."""

    @property
    def timeout_after_ppm(self) -> int | None:
        """How many take effect and are not answered."""

    @property
    def latency_factor(self) -> float:
        """How much slower the channel is."""


class ChannelBehaviour(Protocol):
    """How one channel behaves; shares are in parts per million, latencies are log-normal."""

    @property
    def latency_median_s(self) -> float:
        """The median of its latency."""

    @property
    def latency_sigma(self) -> float:
        """The standard deviation of the latency's logarithm."""

    @property
    def latency_max_s(self) -> float:
        """The longest latency."""

    @property
    def decline_ppm(self) -> int:
        """How many are refused for the payer's reasons."""

    @property
    def failure_ppm(self) -> int:
        """How many are refused for the channel's own reasons."""

    @property
    def timeout_before_ppm(self) -> int:
        """How many are lost before they take effect."""

    @property
    def timeout_after_ppm(self) -> int:
        """How many take effect and are not answered."""

    @property
    def outages(self) -> Sequence[OutageWindow]:
        """When nothing works."""

    @property
    def phases(self) -> Sequence[BehaviourPhase]:
        """What changes with time, in order."""


class Behaviour(Protocol):
    """How all channels behave."""

    def of(self, channel: str) -> ChannelBehaviour:
        """Return how one channel does."""
