"""What an actor is given and how it is found: deliveries and handlers."""

import msgspec
import pytest

from kernel.actor import Actor, ActorContext, Delivery, receive
from schemas.errors import ErrorBody, InvalidState, NotFound
from tests.unit.kernel.harness import RecordingSender, Text, delivery, error_of, text_of


def test_first_answer_counts() -> None:
    """However often an actor answers, the asker hears the first."""
    sender = RecordingSender()
    one = delivery(sender, reply_id=5)
    one.reply(Text("first"), note=2)
    one.reply(Text("second"))
    one.fail(NotFound("third"))
    ((node, reply),) = sender.replies
    assert (node, reply.reply_id, reply.note, text_of(reply)) == ("asker", 5, 2, "first")


def test_failure_is_an_answer_too() -> None:
    """After an error nothing else is sent; an error body travels like the error itself."""
    sender = RecordingSender()
    one = delivery(sender)
    one.fail(NotFound("gone", field="key"))
    one.reply(Text("no"))
    two = delivery(sender, reply_id=2)
    two.fail(ErrorBody(code="not_found", message="gone", field="key"))
    bodies = [error_of(reply) for _, reply in sender.replies]
    assert bodies == [NotFound("gone", field="key").body()] * 2


def test_forwarded_delivery_is_answered_elsewhere() -> None:
    """What was handed on carries the first asker and deadline, and is not answered here."""
    sender = RecordingSender()
    one = delivery(sender, reply_id=9, deadline_ms=123)
    one.forward("other", "key", "do", Text("that"))
    one.reply(Text("late"))
    assert sender.replies == []
    (sent,) = sender.sent
    assert (sent.kind, sent.key, sent.type, sent.app) == ("other", "key", "do", "shop")
    assert (sent.deadline_ms, sent.reply_to, sent.reply_id) == (123, "asker", 9)
    assert msgspec.msgpack.decode(sent.body, type=Text) == Text("that")


def test_answer_to_a_tell_goes_nowhere() -> None:
    """A message without an asker may be answered, and nothing is sent."""
    sender = RecordingSender()
    one = delivery(sender, reply_to="")
    one.reply(Text("x"))
    assert (one.answered, sender.replies) == (True, [])


@pytest.mark.parametrize(("result", "body"), [(None, b"\xc0"), (b"{}", b"\xc4\x02{}")])
def test_results_without_a_struct(result: bytes | None, body: bytes) -> None:
    """Nothing travels as nil, and finished JSON as a binary."""
    sender = RecordingSender()
    delivery(sender).reply(result)
    assert bytes(sender.replies[0][1].body) == body


class _Base(Actor):
    kind = "base"

    @receive("say", Text)
    async def say(self, message: Text, delivery: Delivery) -> Text:
        return Text("base " + message.text)

    @receive("keep", Text)
    async def keep(self, message: Text, delivery: Delivery) -> None:
        raise InvalidState("base")


class _Derived(_Base):
    @receive("say", Text)
    async def say(self, message: Text, delivery: Delivery) -> Text:
        return Text("derived " + message.text)


@pytest.mark.anyio
async def test_handlers_are_found_by_type_and_inherited() -> None:
    """A marked method handles its type, a subclass may take it over, and the rest is not known."""
    context: ActorContext = None  # type: ignore[assignment] # not used here
    for actor, expected in ((_Base(context), "base x"), (_Derived(context), "derived x")):
        known = actor.handler("say")
        assert known is not None
        decode, method = known
        message = decode(msgspec.Raw(msgspec.msgpack.encode(Text("x"))))
        assert await method(message, delivery(RecordingSender())) == Text(expected)
        assert actor.handler("keep") is not None
        assert actor.handler("sing") is None
