"""The NATS subjects of the service.

::

    zh.v1.<app>.<service>.<verb>          a request; the reply goes to its reply subject
    zh.in.v1.<app>.<service>.<verb>       a request that JetStream keeps; the answer is an event
    zh.evt.v1.<app>.<entity>.<event>      an event, kept by JetStream
    zh.dead.v1.<app>.<service>.<verb>     a kept request that was given up, with the reason

Not for the outside::

    zh.node.v1.<node>                     frames between nodes
    zh.cluster.v1                         a node says that ownership changed
    zh.relay.v1.<node>.<token>            JetStream's answers to a node
"""

import re

import msgspec

from schemas.errors import UnknownOperation
from schemas.identifiers import APP_PATTERN

__all__ = (
    "CLUSTER_SUBJECT",
    "DEAD_LETTER_STREAM",
    "DEAD_LETTER_SUBJECTS",
    "EVENT_STREAM",
    "EVENT_SUBJECTS",
    "INTAKE_STREAM",
    "INTAKE_SUBJECTS",
    "OPERATOR_APP",
    "PLATFORM_APP",
    "REQUEST_SUBJECTS",
    "RequestSubject",
    "event_subject",
    "inbox_prefix",
    "node_subject",
    "parse_request_subject",
    "request_subject",
)

REQUEST_SUBJECTS = "zh.v1.>"
EVENT_SUBJECTS = "zh.evt.v1.>"
EVENT_STREAM = "ZHIHUI_EVENTS"
INTAKE_SUBJECTS = "zh.in.v1.>"
INTAKE_STREAM = "ZHIHUI_INTAKE"
DEAD_LETTER_SUBJECTS = "zh.dead.v1.>"
DEAD_LETTER_STREAM = "ZHIHUI_DEAD_LETTERS"
CLUSTER_SUBJECT = "zh.cluster.v1"

# Owns the accounts of external sources, which have no floor: whoever could act as it could make
# money.
PLATFORM_APP = "bank"
# The bank's back office: an app with a key like any other, and the only one that may call the
# operations marked `operator`.
OPERATOR_APP = "ops"

_APP = re.compile(APP_PATTERN)
_REQUEST_TOKENS = 5
_PREFIX = ["zh", "v1"]


class RequestSubject(msgspec.Struct, frozen=True):
    """The parts of a request's subject; ``operation`` is ``<service>.<verb>``."""

    app: str
    operation: str


def request_subject(app: str, service: str, verb: str) -> str:
    """Return the subject of a request."""
    return f"zh.v1.{app}.{service}.{verb}"


def event_subject(app: str, event_type: str) -> str:
    """Return the subject of an event; ``event_type`` is ``<entity>.<event>``."""
    return f"zh.evt.v1.{app}.{event_type}"


def inbox_prefix(app: str) -> str:
    """Return where an app's replies go: its credentials allow this inbox and no other."""
    return f"_INBOX_{app}"


def node_subject(node: str) -> str:
    """Return the subject on which a node receives frames."""
    return f"zh.node.v1.{node}"


def parse_request_subject(subject: str) -> RequestSubject:
    """Split a request's subject; raise :class:`UnknownOperation` when it is not one."""
    tokens = subject.split(".")
    if len(tokens) != _REQUEST_TOKENS or tokens[:2] != _PREFIX or not _APP.match(tokens[2]):
        raise UnknownOperation(
            f"subject {subject!r} is not of the form zh.v1.<app>.<service>.<verb>"
        )
    if tokens[2] == PLATFORM_APP:
        raise UnknownOperation(f"{PLATFORM_APP!r} is the platform itself and sends no requests")
    return RequestSubject(tokens[2], f"{tokens[3]}.{tokens[4]}")
