"""The public edge: whatever comes in, one typed answer goes out."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.actor import Delivery
from kernel.edge import DEADLINE_S_MAX, SUBJECTS_MAX, EdgeLimits
from schemas.accounts import Statement
from schemas.errors import InsufficientFunds
from schemas.money import MAX_AMOUNT_MINOR
from schemas.payments import CreatePayment
from tests.eventually import eventually, turns
from tests.unit.kernel.edge_lab import PAY, START_MS, EdgeLab, Noted, ignore, payment_body

pytestmark = pytest.mark.anyio


async def test_good_request_reaches_its_actor_and_is_answered() -> None:
    """Operation, app, key, deadline and body arrive; the finished JSON goes out unchanged."""
    async with EdgeLab() as lab:
        answer = await lab.request(PAY, payment_body(reference="早餐"))
        assert answer == {"ok": True, "result": {"done": True}}
        (one,) = lab.bank.seen
        sent = one.envelope
        assert (sent.type, sent.app, sent.key) == ("payment.create", "shop", "a")
        assert sent.deadline_ms == START_MS + 5_000
        request = msgspec.msgpack.decode(sent.body, type=CreatePayment)
        assert (request.amount_minor, request.reference) == (5, "早餐")
        statistics = lab.edge.statistics()
        assert (statistics.requests, statistics.answered, statistics.in_flight) == (1, 1, 0)


_NOT_JSON = [
    pytest.param(b"", id="empty"),
    pytest.param(b"{", id="open brace"),
    pytest.param(payment_body() + b",", id="trailing"),
    pytest.param(payment_body() + payment_body(), id="two"),
    pytest.param(b'{"request_id":"r",}', id="trailing comma"),
    pytest.param(b"{'request_id':'r'}", id="single quotes"),
    pytest.param(b"\x00", id="nul byte"),
    pytest.param(b"\xef\xbb\xbf" + payment_body(), id="byte order mark"),
    pytest.param(payment_body().decode().encode("utf-16"), id="utf-16"),
    pytest.param(b'{"request_id":"\xff"}', id="invalid utf-8"),
    pytest.param(b'{"request_id":"\xed\xa0\x80"}', id="surrogate bytes"),
    pytest.param(b'{"request_id":"r\n"}', id="raw line feed in a string"),
    pytest.param(b"\xde\xad\xbe\xef" * 100, id="binary"),
    pytest.param(b'{"amount_minor":NaN}', id="NaN"),
    pytest.param(b'{"amount_minor":+5}', id="plus"),
    pytest.param(b'{"amount_minor":05}', id="leading zero"),
]


@pytest.mark.parametrize("body", _NOT_JSON)
async def test_what_is_not_json_is_malformed(body: bytes) -> None:
    """A body that is not JSON in UTF-8 is refused as such, and nothing runs."""
    async with EdgeLab() as lab:
        assert (await lab.refusal(PAY, body))["code"] == "malformed_message"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param(b"[]", None, id="array"),
        pytest.param(b"null", None, id="null"),
        pytest.param(b'"text"', None, id="string"),
        pytest.param(b"{}", "request_id", id="nothing"),
        pytest.param(payment_body(extra=1), "extra", id="unknown field"),
        pytest.param(payment_body(Payer="a"), "Payer", id="other case"),
        pytest.param(payment_body(payer=None), "payer", id="null field"),
        pytest.param(payment_body(payer=7), "payer", id="number for text"),
        pytest.param(payment_body(payer=["a"]), "payer", id="list for text"),
        pytest.param(payment_body(payer=""), "payer", id="empty id"),
        pytest.param(payment_body(payer="a b"), "payer", id="blank in id"),
        pytest.param(payment_body(payer="a\n"), "payer", id="line feed after id"),
        pytest.param(payment_body(payer="a.*" + "x" * 61), "payer", id="wildcard"),
        pytest.param(payment_body(payer="x" * 65), "payer", id="long id"),
        pytest.param(payment_body(payer="a\0"), "payer", id="NUL in id"),
        pytest.param(payment_body(payer="é"), "payer", id="not ASCII"),
        pytest.param(payment_body(reference="\0"), "reference", id="NUL in text"),
        pytest.param(payment_body(reference="a\x7f"), "reference", id="control in text"),
        pytest.param(payment_body(reference="x" * 141), "reference", id="long text"),
        pytest.param(payment_body(currency=5), "currency", id="currency as number"),
        pytest.param(payment_body(amount_minor=0), "amount_minor", id="zero"),
        pytest.param(payment_body(amount_minor=-1), "amount_minor", id="negative"),
        pytest.param(
            payment_body(amount_minor=MAX_AMOUNT_MINOR + 1), "amount_minor", id="too much"
        ),
        pytest.param(payment_body(amount_minor=2**53 + 1), "amount_minor", id="over 2^53"),
        pytest.param(payment_body(amount_minor=2**63), "amount_minor", id="over 2^63"),
        pytest.param(payment_body(amount_minor=2**64), "amount_minor", id="over 2^64"),
        pytest.param(payment_body(amount_minor=10**400), "amount_minor", id="400 digits"),
        pytest.param(payment_body(amount_minor=1.5), "amount_minor", id="fraction"),
        pytest.param(payment_body(amount_minor=5.0), "amount_minor", id="whole float"),
        pytest.param(payment_body(amount_minor="5"), "amount_minor", id="text for number"),
        pytest.param(payment_body(amount_minor=True), "amount_minor", id="bool"),
        pytest.param(payment_body(amount_minor=False), "amount_minor", id="false"),
        pytest.param(b'{"amount_minor":1e400}', "amount_minor", id="infinite"),
        pytest.param(b'{"amount_minor":' + b"9" * 5_000 + b"}", "amount_minor", id="5,000 digits"),
        pytest.param(b'{"payer":' + b"[" * 30_000 + b"]" * 30_000 + b"}", "payer", id="deep"),
    ],
)
async def test_wrong_field_is_named(body: bytes, field: str | None) -> None:
    """A field that is missing, unknown, of a wrong type or out of range is named; nothing runs."""
    async with EdgeLab() as lab:
        error = await lab.refusal(PAY, body)
        assert (error["code"], error["field"]) == ("invalid_field", field)
        assert error["retry_after_s"] is None


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"tags": ["abcd"]}, "tags"),
        ({"inner": {"deep": "x"}}, "inner"),
        ({"inner": {"deep": 1, "other": 2}}, "other"),
        ({"inner": {}}, "deep"),
    ],
)
async def test_nested_field_is_named(fields: dict[str, Any], field: str) -> None:
    """For a fault inside of a field, a name that stands in the request is given."""
    async with EdgeLab() as lab:
        body = json.dumps({"key": "k", **fields}).encode()
        error = await lab.refusal("zh.v1.shop.note.take", body)
        assert (error["code"], error["field"]) == ("invalid_field", field)


async def test_last_of_a_duplicate_key_counts() -> None:
    """JSON leaves it open; here the last one counts, at the edge as in the actor."""
    async with EdgeLab() as lab:
        body = payment_body()[:-1] + b', "amount_minor": 7}'
        await lab.request(PAY, body)
        seen = msgspec.msgpack.decode(lab.bank.seen[0].envelope.body, type=CreatePayment)
        assert seen.amount_minor == 7
        seen_again = await lab.request(PAY, payment_body()[:-1] + b', "amount_minor": -7}')
        assert seen_again["error"]["field"] == "amount_minor"


async def test_half_a_character_reaches_no_actor() -> None:
    """A lone surrogate, which JSON can spell and UTF-8 cannot hold, is refused or replaced."""
    async with EdgeLab() as lab:
        answer = await lab.request(PAY, b'{"reference":"\\ud800",' + payment_body()[1:])
        if answer["ok"]:
            reference = msgspec.msgpack.decode(
                lab.bank.seen[0].envelope.body, type=CreatePayment
            ).reference
            reference.encode()
        else:
            assert answer["error"]["code"] in ("malformed_message", "invalid_field")


@pytest.mark.parametrize("after", [2**53 + 1, 2**63 - 1, 2**63, 2**64, 2**70, 10**100])
async def test_no_integer_is_too_large_for_the_edge(after: int) -> None:
    """Whatever integer a request holds, it is refused with its field or arrives."""
    async with EdgeLab() as lab:
        lab.bank.act = lambda one: one.fail(InsufficientFunds("arrived"))
        body = b'{"key":"k","large":%d}' % after
        note = await lab.request("zh.v1.shop.note.take", body)
        assert note["error"]["code"] in ("insufficient_funds", "invalid_field")
        assert note["error"]["field"] in (None, "large")
        assert lab.edge.statistics().in_flight == 0
        page = b'{"account_id":"a","after":%d}' % after
        statement = await lab.request("zh.v1.shop.account.statement", page)
        assert (statement["error"]["code"], statement["error"]["field"]) == (
            "invalid_field",
            "after",
        )


async def test_large_body_is_refused_unread() -> None:
    """A body of 1 MiB is refused for its size; one byte under the limit is read."""
    async with EdgeLab(EdgeLimits(body_bytes_max=1_000)) as lab:
        error = await lab.refusal(PAY, b"x" * 1_048_576)
        assert error["code"] == "message_too_large"
        assert "1048576" in error["message"]
        assert (await lab.refusal(PAY, b"{" * 1_001))["code"] == "message_too_large"
        assert (await lab.refusal(PAY, b"{" * 1_000))["code"] == "malformed_message"


@pytest.mark.parametrize(
    "subject",
    [
        "zh.v1.shop",
        "zh.v1.shop.payment",
        "zh.v1.shop.payment.create.now",
        "zh.v1.shop.payment.destroy",
        "zh.v1.shop.payments.create",
        "zh.v1.shop.create.payment",
        "zh.v1.shop.Payment.create",
        "zh.v1.SHOP.payment.create",
        "zh.v1.-.payment.create",
        "zh.v1.bank.payment.create",
        "zh.v1.shöp.payment.create",
        "zh.v1." + "s" * 33 + ".payment.create",
        "zh.v1.shop.payment." + "x" * 10_000,
        "zh.v1.shop.*.>",
        "zh.v1.x" + ".y" * 500,
    ],
)
async def test_subject_without_an_operation_is_answered(subject: str) -> None:
    """Subjects of any depth under the prefix that name nothing are answered so."""
    async with EdgeLab() as lab:
        error = await lab.refusal(subject, payment_body())
        assert error["code"] == "unknown_operation"
        assert error["retryable"] is False


async def test_subjects_from_outside_cannot_fill_the_memory() -> None:
    """Remembered subjects are bounded, and a forgotten one still works."""
    async with EdgeLab() as lab:
        for number in range(SUBJECTS_MAX + 10):
            lab.edge._route(f"zh.v1.a{number}.payment.create")
        assert len(lab.edge._routes) <= SUBJECTS_MAX
        assert (await lab.request("zh.v1.a0.payment.create", payment_body()))["ok"]


def _deadline(value: object) -> bytes:
    return f"NATS/1.0\r\nX: y\r\nZh-Deadline-Ms: {value}\r\n\r\n".encode()


@pytest.mark.parametrize("value", ["", "soon", "-5", "1e13", "1_0", "٣", "9" * 16, "0x10", "1 2"])
async def test_garbage_deadline_is_refused(value: str) -> None:
    """A deadline that is no number of milliseconds is an error of the caller, by name."""
    async with EdgeLab() as lab:
        error = await lab.refusal(PAY, payment_body(), _deadline(value))
        assert (error["code"], error["field"]) == ("invalid_field", "Zh-Deadline-Ms")


@pytest.mark.parametrize("value", [0, 1, START_MS - 1, START_MS])
async def test_expired_deadline_is_answered_before_work(value: int) -> None:
    """What arrives too late is not begun, and the caller is told that it was too late."""
    async with EdgeLab() as lab:
        error = await lab.refusal(PAY, payment_body(), _deadline(value))
        assert error["code"] == "deadline_exceeded"


@pytest.mark.parametrize(
    ("headers", "expected_ms"),
    [
        (_deadline(START_MS + 1), START_MS + 1),
        (_deadline(START_MS + 30_000), START_MS + 30_000),
        (_deadline("9" * 15), START_MS + int(DEADLINE_S_MAX * 1000)),
        (b"NATS/1.0\r\nX: y\r\n\r\n", START_MS + 5_000),
        (b"", START_MS + 5_000),
    ],
)
async def test_deadline_travels_within_bounds(headers: bytes, expected_ms: int) -> None:
    """The caller's deadline goes with the message; a huge one is cut, none means the default."""
    async with EdgeLab() as lab:
        await lab.request(PAY, payment_body(), headers)
        assert lab.bank.seen[0].envelope.deadline_ms == expected_ms


async def test_in_flight_limit_sheds_as_busy() -> None:
    """Beyond the limit nothing is begun, and an answer makes room again."""
    async with EdgeLab(EdgeLimits(in_flight_max=2)) as lab:
        lab.bank.act = ignore
        for _ in range(2):
            lab.bus.publish(PAY, payment_body(), reply="inbox.0")
        await turns()
        answer = await lab.request(PAY, payment_body())
        assert answer["error"]["code"] == "busy"
        assert answer["error"]["retry_after_s"] > 0
        assert (len(lab.bank.seen), lab.edge.statistics().shed) == (2, 1)
        lab.bank.seen[0].reply(b"{}")
        await turns()
        assert lab.edge.in_flight() == 1
        lab.bank.act = lambda one: one.reply(b"{}")
        assert (await lab.request(PAY, payment_body()))["ok"]


async def test_stopping_edge_is_not_ready() -> None:
    """While it starts or stops the edge says so; what is under way is still answered."""
    async with EdgeLab() as lab:
        lab.bank.act = ignore
        lab.bus.publish(PAY, payment_body(), reply="inbox.0")
        await turns()
        lab.edge.accepting = False
        assert (await lab.request(PAY, payment_body()))["error"]["code"] == "not_ready"
        await lab.edge.close_intake()
        lab.bus.publish(PAY, payment_body(), reply="inbox.2")
        await turns()
        assert len(lab.answers) == 1
        lab.bank.seen[0].reply(b"{}")
        await turns()
        assert lab.answers[-1] == {"ok": True, "result": {}}


async def test_request_without_reply_subject_is_done_and_not_answered() -> None:
    """A caller may leave out where to answer: good and bad requests alike are taken in silence."""
    async with EdgeLab() as lab:
        for body in (payment_body(), b"{"):
            lab.bus.publish(PAY, body)
        lab.bus.publish("zh.v1.nothing", b"")
        await turns()
        assert (len(lab.bank.seen), lab.answers) == (1, [])
        assert lab.edge.in_flight() == 0


@pytest.mark.parametrize(
    "reply", ["zh.node.v1.n1", "zh.evt.v1.shop.account.opened", PAY, "zh.", "$JS.API.INFO", "$SRV"]
)
async def test_answer_to_a_reserved_subject_is_not_sent(reply: str) -> None:
    """A request is done, and never answered to the service's own nodes and doors or the broker's.

    The answer is counted as misdirected, be it a result or an error.
    """
    async with EdgeLab() as lab:
        sent: list[bytes] = []
        for subjects in ("zh.>", "$JS.>", "$SRV", "zhx.>"):
            await lab.bus.subscribe(subjects, lambda _, __, data, ___: sent.append(data))
        for body in (payment_body(), b"{"):
            lab.bus.publish(PAY, body, reply=reply)
        await turns()
        assert len(lab.bank.seen) == 1
        assert not [one for one in sent if one.startswith(b'{"ok"')]
        statistics = lab.edge.statistics()
        assert (statistics.misdirected, statistics.requests, statistics.in_flight) == (2, 2, 0)
        # It goes by the whole first token: any other inbox is answered.
        lab.bus.publish(PAY, payment_body(), reply="zhx.$.1")
        await turns()
        assert len([one for one in sent if one.startswith(b'{"ok"')]) == 1
        assert lab.edge.statistics().misdirected == 2


@pytest.mark.parametrize(
    ("reply", "answered"),
    [
        ("_INBOX_shop.x.1", True),
        ("_INBOX.x.1", True),
        ("_R_.x.1", True),
        ("_INBOX_gym.x.1", False),
        ("_INBOX_shop2.x.1", False),
        ("_INBOX_shop", False),
        ("_INBOX_bank.x.1", False),
        ("_INBOX_.x", False),
    ],
)
async def test_an_answer_goes_to_no_inbox_of_another_app(reply: str, answered: bool) -> None:
    """Of the inboxes that belong to somebody, only that of the app in the subject is answered.

    It holds for results, for errors, and for subjects that are no operation.
    """
    async with EdgeLab() as lab:
        sent: list[bytes] = []
        await lab.bus.subscribe(reply, lambda _, __, data, ___: sent.append(data))
        for subject, body in ((PAY, payment_body()), (PAY, b"{"), ("zh.v1.shop", b"{}")):
            lab.bus.publish(subject, body, reply=reply)
        await turns()
        assert len(lab.bank.seen) == 1
        statistics = lab.edge.statistics()
        assert statistics.requests == 3
        assert (len(sent), statistics.misdirected) == ((3, 0) if answered else (0, 3))


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(lambda one: one.reply(None), id="nothing"),
        pytest.param(lambda one: one.reply(Noted("k")), id="a struct of another shape"),
        pytest.param(lambda one: one._answer(False, msgspec.Raw(b"\x05"), 0), id="not an error"),
    ],
)
async def test_nonsense_from_an_actor_is_internal(answer: Callable[[Delivery], None]) -> None:
    """An answer of another shape than the operation's is our bug, and the caller is told so."""
    async with EdgeLab() as lab:
        lab.bank.act = answer
        body = b'{"account_id":"a"}'
        got = await lab.request("zh.v1.shop.account.get", body)
        assert got["error"]["code"] == "internal"
        assert lab.edge.in_flight() == 0
        lab.bank.act = lambda one: one.reply(b"{}")
        assert (await lab.request("zh.v1.shop.account.get", body))["ok"]


async def test_nonsense_does_not_keep_others_from_their_answers() -> None:
    """Answers that share a frame with a broken one arrive all the same."""
    async with EdgeLab() as lab:
        lab.bank.act = lambda one: one.reply(None if one.envelope.key == "bad" else b"{}")
        for key in ("a", "bad", "b"):
            body = msgspec.json.encode({"account_id": key})
            lab.bus.publish("zh.v1.shop.account.get", body, reply=f"inbox.{key}")
        await turns()
        assert [answer["ok"] for answer in lab.answers].count(True) == 2
        assert len(lab.answers) == 3


async def test_struct_result_becomes_json() -> None:
    """An actor may answer with the operation's struct; the edge writes it as JSON."""
    async with EdgeLab() as lab:
        lab.bank.act = lambda one: one.reply(
            Statement(account_id="a", currency="CNY", entries=[], next_after=None)
        )
        answer = await lab.request("zh.v1.shop.account.statement", b'{"account_id":"a"}')
        assert answer["result"] == {
            "account_id": "a", "currency": "CNY", "entries": [], "next_after": None,
        }  # fmt: skip
        lab.bank.act = lambda one: one.reply(Noted("k"))
        assert (await lab.request("zh.v1.shop.note.take", b'{"key":"k"}'))["result"] == {"key": "k"}


async def test_error_of_an_actor_goes_out_unchanged() -> None:
    """Code, message and field are the actor's."""
    async with EdgeLab() as lab:
        lab.bank.act = lambda one: one.fail(InsufficientFunds("too little", field="payer"))
        assert (await lab.request(PAY, payment_body()))["error"] == {
            "code": "insufficient_funds", "message": "too little", "field": "payer",
            "retryable": False, "retry_after_s": None,
        }  # fmt: skip
        endpoint = lab.edge.endpoints["payment.create"]
        assert (endpoint.requests, endpoint.errors) == (1, 1)
        assert endpoint.last_error == "insufficient_funds"


async def test_cut_bus_leaves_nothing_in_flight() -> None:
    """What was under way when the bus was cut ends by its deadline, and nothing is sent into it."""
    async with EdgeLab() as lab:
        lab.bank.act = ignore
        for _ in range(3):
            lab.bus.publish(PAY, payment_body(), reply="inbox.0")
        await turns()
        assert lab.edge.in_flight() == 3
        lab.bus.cut()
        await turns()
        # They wait for the bus, not for an answer that cannot come.
        assert (lab.edge.in_flight(), lab.node.waiting()) == (3, 0)
        lab.clock.advance(5.0)
        await eventually(lambda: lab.edge.in_flight() == 0, "the deadline")
        lab.bus.mend()
        lab.bank.act = lambda one: one.reply(b"{}")
        assert (await lab.request(PAY, payment_body()))["ok"]
        assert lab.edge.statistics().asked_again == 0


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
async def test_any_bytes_are_answered(body: bytes) -> None:
    """Whatever the body, there is one answer, and it is an error of the caller."""
    async with EdgeLab() as lab:
        error = await lab.refusal(PAY, body)
        assert error["code"] in ("malformed_message", "invalid_field")


_texts = st.text(max_size=5)
_numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
_json_values = st.recursive(
    st.none() | st.booleans() | _numbers | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=5,
)


@given(
    st.dictionaries(
        st.sampled_from(["request_id", "payer", "payee", "amount_minor", "currency", "x"]),
        _json_values,
    )
)
async def test_any_json_is_answered(fields: dict[str, Any]) -> None:
    """Whatever values the fields have, there is one answer in the shape of the contract."""
    async with EdgeLab() as lab:
        await lab.request(PAY, json.dumps(fields).encode())
