"""What the journal says to those whose changes are decided, now or at some time before."""

import msgspec

from kernel.journal_item import JournalItem, changed, keys, moved
from kernel.request_memory import COMMITTED, Decided, RequestMemory
from schemas.envelope import REPLAYED
from schemas.errors import Conflict, ErrorBody, LinkedFailed, Unavailable

__all__ = ("JournalAnswers",)

_error_decoder = msgspec.json.Decoder(ErrorBody)


class JournalAnswers:
    """Answers items with what the memory of requests knows; :attr:`replayed` and others count."""

    def __init__(self, memory: RequestMemory) -> None:
        self._memory = memory
        self.replayed = 0
        self.conflicts = 0

    async def recall_torn(self, waiting: list[JournalItem]) -> None:
        """Look up the chains of which memory has forgotten a part and not all."""
        for item in waiting:
            if item.links:
                names = keys([item])
                known = sum(self._memory.get(key) is not None for key in names)
                if 0 < known < len(names):
                    await self._memory.recall(names, anew=True)

    def answer_known(self, waiting: list[JournalItem]) -> list[JournalItem]:
        """Answer what was decided before; return the rest."""
        rest = []
        for item in waiting:
            known = self._memory.get((item.change.app, item.change.request_id))
            if item.links:
                decided = [self._memory.get(key) for key in keys([item])]
                if any(decided):
                    self.answer_chain(item, decided, REPLAYED)
                    continue
            elif known is not None:
                self.answer(item, known, REPLAYED)
                continue
            rest.append(item)
        return rest

    async def refuse_stale(self, stale: list[JournalItem]) -> None:
        """Have what rests on a state that is over decided again; nothing of it is remembered.

        But a repetition rests on such a state as well: what was decided before is answered so.
        """
        try:
            await self._memory.recall(keys(stale))
        except Unavailable as error:
            for item in stale:
                item.delivery.fail(moved(item) if item.doubtful else error)
            return
        for item in self.answer_known(stale):
            item.delivery.fail(changed(item))

    def answer_chain(self, item: JournalItem, decided: list[Decided | None], note: int) -> None:
        """Answer a chain some of whose ids are decided: all of them were, or it is another one."""
        answers = []
        rejection = None
        for link, one in zip(item.links, decided, strict=True):
            if one is None or one.digest != link.change.digest:
                self._refuse_conflict(link)
                return
            # The others of the chain say only that one of them was rejected.
            if one.outcome != COMMITTED and (
                rejection is None or rejection.code == LinkedFailed.code
            ):
                rejection = _error_decoder.decode(one.answer)
            answers.append(one.answer)
        if note == REPLAYED:
            self.replayed += 1
        if rejection is None:
            item.delivery.reply(f"[{','.join(answers)}]".encode(), note=note)
        else:
            item.delivery.fail(rejection, note=note)

    def answer(self, item: JournalItem, decided: Decided, note: int) -> None:
        """Answer a change with its outcome."""
        delivery = item.delivery
        if item.change.digest != decided.digest:
            self._refuse_conflict(item)
            return
        if note == REPLAYED:
            self.replayed += 1
        if decided.outcome == COMMITTED:
            delivery.reply(decided.answer.encode(), note=note)
        else:
            delivery.fail(_error_decoder.decode(decided.answer), note=note)

    def _refuse_conflict(self, item: JournalItem) -> None:
        self.conflicts += 1
        item.delivery.fail(
            Conflict(
                f"request id {item.change.request_id!r} was used before with another body",
                field="request_id",
            )
        )
