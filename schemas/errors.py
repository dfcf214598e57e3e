"""Every error the service can answer, in one tree and one table.

::

    ZhihuiError
    ├── Rejected            the caller's fault; the same request fails again
    │   ├── MalformedMessage      malformed_message
    │   ├── InvalidField          invalid_field
    │   ├── MessageTooLarge       message_too_large
    │   ├── UnknownOperation      unknown_operation
    │   ├── Forbidden             forbidden
    │   ├── UnsupportedCurrency   unsupported_currency
    │   ├── SelfPayment           self_payment
    │   ├── Conflict              conflict
    │   ├── NotFound              not_found
    │   ├── InvalidState          invalid_state
    │   ├── InsufficientFunds     insufficient_funds
    │   ├── BalanceLimit          balance_limit
    │   ├── LimitExceeded         limit_exceeded
    │   ├── Ineligible            ineligible
    │   ├── RiskDeclined          risk_declined
    │   ├── StepUpRequired        step_up_required
    │   └── LinkedFailed          linked_failed
    ├── Unavailable         try again, with the same request id
    │   ├── Busy                  busy
    │   ├── Throttled             throttled
    │   ├── NotReady              not_ready
    │   ├── ChannelUnavailable    channel_unavailable
    │   ├── StaleOwner            stale_owner
    │   └── DeadlineExceeded      deadline_exceeded
    └── Internal            our bug; the message is kept as a dead letter
                                  internal
"""

import msgspec

__all__ = (
    "ERRORS",
    "BalanceLimit",
    "Busy",
    "ChannelUnavailable",
    "Conflict",
    "DeadlineExceeded",
    "ErrorBody",
    "Forbidden",
    "Ineligible",
    "InsufficientFunds",
    "Internal",
    "InvalidField",
    "InvalidState",
    "LimitExceeded",
    "LinkedFailed",
    "MalformedMessage",
    "MessageTooLarge",
    "NotFound",
    "NotReady",
    "Rejected",
    "RiskDeclined",
    "SelfPayment",
    "StaleOwner",
    "StepUpRequired",
    "Throttled",
    "Unavailable",
    "UnknownOperation",
    "UnsupportedCurrency",
    "ZhihuiError",
    "error_from_body",
)


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """Say what went wrong, as it stands in a reply.

    ``field`` names the offending field of the request or is null. ``retry_after_s`` is in
    seconds and null unless ``retryable``.
    """

    code: str
    message: str
    field: str | None = None
    retryable: bool = False
    retry_after_s: float | None = None


class ZhihuiError(Exception):
    """Root of all errors that cross a boundary of the service."""

    code = "internal"
    retryable = False
    meaning = ""

    def __init__(
        self, message: str, *, field: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.retry_after_s = retry_after_s

    def body(self) -> ErrorBody:
        """Return the error in the form that travels."""
        return ErrorBody(
            code=self.code,
            message=self.message,
            field=self.field,
            retryable=self.retryable,
            retry_after_s=self.retry_after_s,
        )


class Rejected(ZhihuiError):
    """The caller's fault: part of the protocol, and the same request fails again."""


class MalformedMessage(Rejected):
    """The body is not JSON, or not UTF-8."""

    code = "malformed_message"
    meaning = "The body is not valid JSON in UTF-8. Mend the encoder and send it again."


class InvalidField(Rejected):
    """A field is missing, unknown, of the wrong type or out of its range."""

    code = "invalid_field"
    meaning = "A field is missing, unknown, of the wrong type or out of range; `field` names it."


class MessageTooLarge(Rejected):
    """The body is larger than the limit of the public edge."""

    code = "message_too_large"
    meaning = "The body exceeds the public limit in bytes. Send less in one message."


class UnknownOperation(Rejected):
    """No operation stands behind the subject."""

    code = "unknown_operation"
    meaning = "The subject names no operation. `nats micro info zhihui` lists them."


class Forbidden(Rejected):
    """The broker refused the credentials, or what was tried with them."""

    code = "forbidden"
    meaning = "The credentials are not accepted, or do not allow this app or subject."


class UnsupportedCurrency(Rejected):
    """The currency is not one that the service keeps."""

    code = "unsupported_currency"
    meaning = "Only CNY is kept. Convert before you send."


class SelfPayment(Rejected):
    """Payer and payee are the same account."""

    code = "self_payment"
    meaning = "Payer and payee are the same account."


class Conflict(Rejected):
    """The request id was used before with another body."""

    code = "conflict"
    meaning = "The request id was used before with another body. Use a new id for a new request."


class NotFound(Rejected):
    """What the request names does not exist, or belongs to another app."""

    code = "not_found"
    meaning = "What `field` names does not exist, or belongs to another app."


class InvalidState(Rejected):
    """The thing exists but is not in a state that allows this."""

    code = "invalid_state"
    meaning = "What the request names is not in a state that allows it; the message says which."


class InsufficientFunds(Rejected):
    """An account would fall below its floor."""

    code = "insufficient_funds"
    meaning = "The payer's available balance does not cover the amount. Nothing was moved."


class BalanceLimit(Rejected):
    """An account would rise above its ceiling."""

    code = "balance_limit"
    meaning = "The payee's balance would rise above what its account may hold. Nothing was moved."


class LimitExceeded(Rejected):
    """A limit of amount or number would be passed: of an account class, a day, a mandate."""

    code = "limit_exceeded"
    meaning = "A limit of amount or number would be passed; the message says which. Nothing moved."


class Ineligible(Rejected):
    """The conditions of a product or a service are not met."""

    code = "ineligible"
    meaning = "The conditions of what is asked for are not met; the message says which."


class RiskDeclined(Rejected):
    """The risk check refused the movement."""

    code = "risk_declined"
    meaning = "The risk check refused it; the message holds the reason codes. Nothing was moved."


class StepUpRequired(Rejected):
    """The risk check wants the customer to be verified more strongly."""

    code = "step_up_required"
    meaning = (
        "The risk check wants a stronger verification of the customer. "
        "Verify, and send a new request that states the factors."
    )


class LinkedFailed(Rejected):
    """Another change of the same chain was rejected."""

    code = "linked_failed"
    meaning = "Another change of the same chain was rejected, so nothing of the chain stands."


class Unavailable(ZhihuiError):
    """Not now: the same request with the same id may be sent again."""

    retryable = True

    def __init__(
        self, message: str, *, field: str | None = None, retry_after_s: float | None = 1.0
    ) -> None:
        super().__init__(message, field=field, retry_after_s=retry_after_s)


class Busy(Unavailable):
    """A queue is full; nothing was begun."""

    code = "busy"
    meaning = "A queue is full and nothing was begun. Send again after `retry_after_s`."


class Throttled(Unavailable):
    """The app is over its own rate or has too many requests under way."""

    code = "throttled"
    meaning = "The app is over its limit of requests; nothing was begun. Slow down."


class NotReady(Unavailable):
    """The service is starting, stopping or cut off from its store."""

    code = "not_ready"
    meaning = "The service is starting, stopping or cut off from its store. Send again later."


class ChannelUnavailable(Unavailable):
    """No payment channel can take it at the moment."""

    code = "channel_unavailable"
    meaning = "No payment channel that may take it is up. Nothing was moved; send again later."


class StaleOwner(Unavailable):
    """The node lost the ownership of the state it decided on; nothing was committed."""

    code = "stale_owner"
    meaning = "Ownership moved to another node meanwhile. Nothing was committed; send again."


class DeadlineExceeded(Unavailable):
    """No answer stood in time. The outcome is unknown until the same id is sent again."""

    code = "deadline_exceeded"
    meaning = (
        "No answer in time; the outcome is unknown, not failed. "
        "Send the same request id again to learn it."
    )


class Internal(ZhihuiError):
    """Our own bug: the message is kept as a dead letter."""

    code = "internal"
    meaning = "A fault of the service. The message is kept as a dead letter for its operators."


def _leaves(root: type[ZhihuiError]) -> list[type[ZhihuiError]]:
    branches = root.__subclasses__()
    if not branches:
        return [root]
    return [leaf for branch in branches for leaf in _leaves(branch)]


# The one table: stable code → class. Built once from the tree above; packs add no codes of
# their own, they reject with these and say the rest in the message.
ERRORS: dict[str, type[ZhihuiError]] = {leaf.code: leaf for leaf in _leaves(ZhihuiError)}


def error_from_body(body: ErrorBody) -> ZhihuiError:
    """Return the exception for a received body; an unknown code becomes :class:`Internal`."""
    kind = ERRORS.get(body.code, Internal)
    error = kind(body.message, field=body.field)
    error.retry_after_s = body.retry_after_s
    return error
