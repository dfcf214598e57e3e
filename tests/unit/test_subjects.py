"""The subjects of requests, events and nodes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import UnknownOperation
from schemas.subjects import (
    EVENT_SUBJECTS,
    REQUEST_SUBJECTS,
    RequestSubject,
    event_subject,
    node_subject,
    parse_request_subject,
    request_subject,
)

_app = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,31}", fullmatch=True)
_token = st.from_regex(r"[a-z_]{1,12}", fullmatch=True)


@given(app=_app, service=_token, verb=_token)
def test_a_request_subject_is_read_back(app: str, service: str, verb: str) -> None:
    """What is put into a request's subject comes out of it."""
    subject = request_subject(app, service, verb)
    assert subject.startswith(REQUEST_SUBJECTS.removesuffix(">"))
    assert parse_request_subject(subject) == RequestSubject(app, f"{service}.{verb}")


def test_subjects_are_as_published() -> None:
    """The subjects that backends were told are the ones in use."""
    assert request_subject("shop", "payment", "create") == "zh.v1.shop.payment.create"
    assert event_subject("shop", "payment.succeeded") == "zh.evt.v1.shop.payment.succeeded"
    assert node_subject("node-a") == "zh.node.v1.node-a"
    assert event_subject("shop", "payment.succeeded").startswith(EVENT_SUBJECTS.removesuffix(">"))


@pytest.mark.parametrize(
    "subject",
    [
        "",
        "zh.v1",
        "zh.v1.shop",
        "zh.v1.shop.payment",
        "zh.v1.shop.payment.create.now",
        "zh.v1..payment.create",
        "zh.v1.*.payment.create",
        "zh.v1.>.payment.create",
        "zh.v1.Shop.payment.create",
        "zh.v1.-shop.payment.create",
        "zh.v1.shop\n.payment.create",
        "zh.v1.sh op.payment.create",
        "zh.v1.sh\x00op.payment.create",
        "zh.v1.商店.payment.create",
        f"zh.v1.{'x' * 33}.payment.create",
    ],
)
def test_other_subjects_are_refused(subject: str) -> None:
    """A subject of another shape, or with an app that is not one token, is an unknown operation."""
    with pytest.raises(UnknownOperation):
        parse_request_subject(subject)
