"""How a student leaves: bills, then the wallet, then the account itself."""

from plugins.campus.samples.cast import SCHOOL, Act, Child, Family, Ids, request
from plugins.campus.samples.setting import seen, student_seen

__all__ = ("left_for_good", "refunded", "tried_to_leave")


def refunded(ids: Ids, lane: str, at: int, family: Family, child: Child, amount: int) -> Act:
    """Return how the school gives a part of the fees back: one officer asks, another approves."""
    release = f"refund-{child.student_id}"
    ask = {
        "release_id": release,
        "school_id": SCHOOL,
        "payee": f"@acct:{family.payer}",
        "amount_minor": amount,
        "purpose": "fee_refund",
        "reason": "退学退费",
        "officer_id": "cashier-lu",
    }
    approve = {"release_id": release, "officer_id": "bursar-shen"}
    return [
        request(lane, at, "campus.request_release", ask, ids),
        request(lane, at, "campus.approve_release", approve, ids),
    ]


def tried_to_leave(ids: Ids, lane: str, at: int, family: Family, child: Child, attempt: str) -> Act:
    """Return how the office reads what is in the wallet and asks to pay it out."""
    name = f"{attempt}-balance-{child.student_id}"
    look = seen(lane, "account.get", {"account_id": child.wallet}, at=at)
    look.keeps = name
    body = {
        "student_id": child.student_id,
        "guardian_id": family.payer,
        "balance_minor": f"@{name}.available_minor",
    }
    return [look, request(lane, at, "campus.leave_school", body, ids)]


def left_for_good(
    ids: Ids, lane: str, at: int, family: Family, child: Child, bills: list[str]
) -> Act:
    """Return how bills are waived, the wallet is paid out, and its account is closed."""
    waiver = {"officer_id": "bursar-shen", "reason": "转学退费"}
    student = {"student_id": child.student_id}
    waivers = [
        request(lane, at, "campus.waive_bill", {**student, "bill_id": bill, **waiver}, ids)
        for bill in bills
    ]
    close = {"account_id": child.wallet}
    return [
        *waivers,
        *tried_to_leave(ids, lane, at, family, child, "last"),
        student_seen(lane, at, child.student_id),
        request(lane, at, "account.close", close, ids),
    ]
