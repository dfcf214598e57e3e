"""Whether each answer came from a version that was to serve then, and came again the same."""

import msgspec

from loadtest.hotload.books import Offences
from loadtest.hotload.load import Resent
from loadtest.hotload.timeline import Timeline
from loadtest.hotload.traffic import Outcome

__all__ = ("AnswerCounts", "judge_answers")


class AnswerCounts(msgspec.Struct, frozen=True, kw_only=True):
    """The answers, and how many of them left no choice: only one version was to serve then.

    ``resent_across`` are requests that were sent again when their pack had been switched.
    """

    answered: int
    no_choice: int
    retried: int
    unanswered_attempts: int
    resent: int
    resent_across: int


def judge_answers(
    outcomes: list[Outcome], resent: list[Resent], timeline: Timeline, offences: Offences
) -> AnswerCounts:
    """Add what is wrong to the offences, and return what there was to be judged."""
    answered = [one for one in outcomes if one.answer]
    no_choice = 0
    for one in answered:
        request = one.request
        allowed = timeline.allowed(request.pack, request.key, one.sent_s, one.done_s)
        no_choice += len(allowed) == 1
        if one.served_by not in allowed:
            offences.add(
                "wrong generation",
                f"{request.request_id} {request.pack}.{request.verb} of {request.key} was answered "
                f"by {one.served_by or 'nobody'}, and {sorted(allowed)} served",
            )
    across = 0
    for again in resent:
        request = again.outcome.request
        across += timeline.switched(request.pack, again.outcome.done_s, again.sent_s)
        # A request that was never answered is lost, and counted there.
        if again.outcome.answer and not again.same:
            offences.add(
                "answers", f"{request.request_id} {request.pack}.{request.verb} sent again differs"
            )
    return AnswerCounts(
        answered=len(answered),
        no_choice=no_choice,
        retried=sum(bool(one.retries) for one in outcomes),
        unanswered_attempts=sum(one.unanswered for one in outcomes),
        resent=len(resent),
        resent_across=across,
    )
