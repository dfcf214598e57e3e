"""Service discovery as NATS's own tools expect it (ADR-32): PING, INFO and STATS on ``$SRV``."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
import orjson

from kernel.bus import Bus
from kernel.edge import QUEUE_GROUP, Edge
from kernel.requests import Endpoint
from schemas.errors import ZhihuiError

__all__ = ("Discovery",)

_PREFIX = "io.nats.micro.v1"


class Discovery:
    """Answer the three questions for one service on one node."""

    def __init__(
        self,
        bus: Bus,
        edge: Edge,
        *,
        name: str,
        service_id: str,
        version: str,
        description: str,
        started: datetime,
        metadata: Callable[[], dict[str, str]],
        statistics: Callable[[], Any],
    ) -> None:
        self._bus = bus
        self._edge = edge
        self._identity = {"name": name, "id": service_id, "version": version}
        self._description = description
        self._started = started
        self._metadata = metadata
        self._statistics = statistics

    async def open(self) -> None:
        """Begin to answer, for all services, for this name and for this instance."""
        answers = {"PING": self._ping, "INFO": self._info, "STATS": self._stats}
        name, service_id = self._identity["name"], self._identity["id"]
        for verb, answer in answers.items():
            for target in ("", f".{name}", f".{name}.{service_id}"):
                await self._bus.subscribe(f"$SRV.{verb}{target}", self._responder(answer))

    def _responder(
        self, answer: Callable[[], dict[str, Any]]
    ) -> Callable[[str, str, bytes, bytes], None]:
        def respond(subject: str, reply: str, data: bytes, headers: bytes) -> None:
            del subject, data, headers
            if reply:
                try:
                    self._bus.publish(reply, orjson.dumps(answer(), default=msgspec.to_builtins))
                except (ZhihuiError, ValueError):
                    return  # whoever asked is gone, or we are cut off: there is nobody to tell

        return respond

    def _ping(self) -> dict[str, Any]:
        return {
            "type": f"{_PREFIX}.ping_response",
            **self._identity,
            "metadata": self._metadata(),
        }

    def _info(self) -> dict[str, Any]:
        return {
            "type": f"{_PREFIX}.info_response",
            **self._identity,
            "metadata": self._metadata(),
            "description": self._description,
            "endpoints": [
                {
                    **_endpoint(endpoint),
                    "metadata": {"summary": endpoint.operation.summary},
                }
                for endpoint in self._edge.endpoints.values()
            ],
        }

    def _stats(self) -> dict[str, Any]:
        return {
            "type": f"{_PREFIX}.stats_response",
            **self._identity,
            "metadata": self._metadata(),
            "started": self._started,
            "endpoints": [
                {
                    **_endpoint(endpoint),
                    "num_requests": endpoint.requests,
                    "num_errors": endpoint.errors,
                    "last_error": endpoint.last_error,
                    "processing_time": endpoint.processing_ms * 1_000_000,
                    "average_processing_time": (
                        endpoint.processing_ms * 1_000_000 // max(endpoint.requests, 1)
                    ),
                }
                for endpoint in self._edge.endpoints.values()
            ],
            "node": self._statistics(),
        }


def _endpoint(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "name": endpoint.operation.name.replace(".", "-"),
        "subject": endpoint.subject,
        "queue_group": QUEUE_GROUP,
    }
