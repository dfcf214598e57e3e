"""How openings are conducted: deadlines, attempts, pauses and scores, in one configurable place."""

from typing import Annotated

import msgspec
from msgspec import Meta

__all__ = ("OPENING_POLICY", "OpeningPolicy")

_Seconds = Annotated[float, Meta(gt=0)]
_Ppm = Annotated[int, Meta(ge=0, le=1_000_000, description="Parts per million.")]


class OpeningPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The bounds of every case.

    Both deadlines together stay below the ten seconds in which a timer's message is answered. An
    outage costs none of the ``attempts_max``: it is waited out with pauses that double from
    ``retry_first_s`` to ``retry_s_max``, until the case expires.
    """

    source_deadline_s: _Seconds = 3.0
    verification_deadline_s: _Seconds = 5.0
    # What the face-recognition rules of banks commonly allow before a person is sent to a counter.
    attempts_max: Annotated[int, Meta(ge=1, le=10)] = 3
    retry_first_s: _Seconds = 2.0
    retry_s_max: _Seconds = 600.0
    # Enough for all accounts that a person may open, with a mistake each.
    cases_per_day_max: Annotated[int, Meta(ge=1)] = 20
    # A customer who comes back the next morning still finds the case.
    expires_after_s: _Seconds = 24 * 3600.0
    # Staff decide within a week; what nobody decided is no account.
    review_expires_after_s: _Seconds = 7 * 24 * 3600.0
    # A face that scores less is another person's; between the two bounds people look at it.
    face_review_ppm: _Ppm = 700_000
    face_pass_ppm: _Ppm = 850_000

    def pause_s(self, tries: int) -> float:
        """Return the pause after ``tries`` attempts in a row that found nobody, seconds."""
        # The power is bounded: a case that has tried a thousand times would overflow a float.
        return float(min(self.retry_first_s * 2 ** min(tries - 1, 30), self.retry_s_max))


OPENING_POLICY = OpeningPolicy()
