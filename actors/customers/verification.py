"""Is it this person, and alive? The port to a provider of face match and liveness, and the sandbox.

An attempt is a session. The provider gets the person and pointers to the recordings, never the
recordings through us, and says what it saw with two scores. The sandbox is a stand-in with no face
recognition in it at all: what it answers is written in the pointer, so every path can be walked.
"""

import re
from collections import OrderedDict
from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from actors.customers.identity_source import Outage
from kernel.clock import Clock
from schemas.customers import Evidence, Personal

__all__ = (
    "SESSIONS_MAX",
    "SandboxVerification",
    "Subject",
    "Verdict",
    "VerificationProvider",
    "VerificationStatistics",
)

# Sessions that the sandbox remembers; beyond it the oldest is forgotten.
SESSIONS_MAX = 10_000

_Seen = Literal["pass", "mismatch", "spoof", "low_quality"]


class Subject(Personal, frozen=True, kw_only=True):
    """Whom the recordings should show."""

    name: str
    id_number: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the provider saw; scores in parts per million, higher is surer."""

    outcome: _Seen
    face_ppm: int
    liveness_ppm: int


class VerificationProvider(Protocol):
    """The port. Every method may be called again with the same arguments, and then does no more.

    Each raises :class:`~actors.customers.identity_source.Outage` when it cannot answer.
    """

    async def start_session(self, reference: str, subject: Subject, *, deadline_s: float) -> str:
        """Begin an attempt under our own reference; return the id that the recorder needs."""

    async def submit(
        self, session_id: str, evidence: Sequence[Evidence], *, deadline_s: float
    ) -> None:
        """Hand in where the recordings are."""

    async def result(self, session_id: str, *, deadline_s: float) -> Verdict | None:
        """Return what was seen, or None while it is still being looked at."""


class VerificationStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since the start."""

    sessions: int
    results: int
    outages: int


_SCRIPT = re.compile(
    r"^sandbox/(pass|borderline|mismatch|spoof|low_quality|processing|timeout|down)(?:-([1-9]))?/"
)
_VERDICTS: dict[str, Verdict] = {
    "pass": Verdict(outcome="pass", face_ppm=970_000, liveness_ppm=990_000),
    # Good enough not to be refused, and not good enough to be let through by a program.
    "borderline": Verdict(outcome="pass", face_ppm=780_000, liveness_ppm=950_000),
    "mismatch": Verdict(outcome="mismatch", face_ppm=210_000, liveness_ppm=980_000),
    "spoof": Verdict(outcome="spoof", face_ppm=930_000, liveness_ppm=40_000),
    "low_quality": Verdict(outcome="low_quality", face_ppm=400_000, liveness_ppm=500_000),
}


class _Session:
    __slots__ = ("script", "times", "tries")

    def __init__(self) -> None:
        self.script = "low_quality"
        # How often an outage happens before the recordings pass; without a number, for ever.
        self.times: int | None = None
        self.tries = 0


class SandboxVerification:
    """Answer what the reference of the ``face_video`` says.

    ========================  ======================================================================
    ``sandbox/pass/…``         the same person, alive
    ``sandbox/borderline/…``   the same person with a middling score: a case for people
    ``sandbox/mismatch/…``     another person
    ``sandbox/spoof/…``        a picture or a mask
    ``sandbox/low_quality/…``  too dark to tell; so is any other reference
    ``sandbox/processing/…``   not looked at yet
    ``sandbox/timeout/…``      no answer before the deadline
    ``sandbox/down/…``         the provider is down
    ========================  ======================================================================

    With a digit, as in ``sandbox/down-2/…``, the last three happen that often and then it passes.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._counts = {"sessions": 0, "results": 0, "outages": 0}

    async def start_session(self, reference: str, subject: Subject, *, deadline_s: float) -> str:
        """Return the session of the reference."""
        del subject, deadline_s
        session_id = f"sandbox-{reference}"
        self._session(session_id)
        return session_id

    def _session(self, session_id: str) -> _Session:
        # A session of another node, or from before a restart, is made anew: all of it is in the
        # recordings, which come with every question.
        session = self._sessions.get(session_id)
        if session is None:
            self._counts["sessions"] += 1
            session = self._sessions[session_id] = _Session()
            if len(self._sessions) > SESSIONS_MAX:
                self._sessions.popitem(last=False)
        return session

    async def submit(
        self, session_id: str, evidence: Sequence[Evidence], *, deadline_s: float
    ) -> None:
        """Read what is to be answered."""
        del deadline_s
        session = self._session(session_id)
        video = next((one.reference for one in evidence if one.kind == "face_video"), "")
        found = _SCRIPT.match(video)
        if found is not None:
            session.script = found[1]
            session.times = None if found[2] is None else int(found[2])

    async def result(self, session_id: str, *, deadline_s: float) -> Verdict | None:
        """Answer as the reference says."""
        session = self._session(session_id)
        session.tries += 1
        script = session.script
        verdict = _VERDICTS.get(script)
        if verdict is None and session.times is not None and session.tries > session.times:
            verdict = _VERDICTS["pass"]
        if verdict is not None:
            self._counts["results"] += 1
            return verdict
        if script == "processing":
            return None
        self._counts["outages"] += 1
        if script == "down":
            raise Outage("down")
        # Longer than anybody waits; whoever asks has a deadline of his own.
        await self._clock.sleep(2 * deadline_s)
        raise Outage("timeout")

    def statistics(self) -> VerificationStatistics:
        """Return the counts so far."""
        return VerificationStatistics(**self._counts)
