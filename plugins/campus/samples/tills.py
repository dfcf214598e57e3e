"""Tills in the sequential model: what they sold, and how it is paid."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from plugins.campus.samples.bank import Refused
from plugins.campus.samples.people import Answer
from plugins.campus.samples.purse import AHEAD, Purse

__all__ = ("Tills",)

_CHINA = timezone(timedelta(hours=8))


class Tills(Purse):
    """The school's books about tills."""

    def __init__(self) -> None:
        super().__init__()
        self.tills: dict[str, dict[str, Any]] = {}

    def campus_register_terminal(self, body: dict[str, Any]) -> Answer:
        """Register a till."""
        self.school_of(body["school_id"])
        self.tills[body["terminal_id"]] = {
            "school": body["school_id"],
            "payee": body["payee"],
            "category": body["category"],
            "key": Ed25519PublicKey.from_public_bytes(bytes.fromhex(body["public_key"])),
            # Amount, student and moment by number.
            "seen": {},
            "lost": set(),
        }
        return "registered", {}

    def campus_get_terminal(self, body: dict[str, Any]) -> Answer:
        """Read a till."""
        if body["terminal_id"] not in self.tills:
            raise Refused("not_found")
        seen = self.tills[body["terminal_id"]]["seen"]
        return "registered", {
            "accepted": len(seen),
            "accepted_minor": sum(amount for amount, *_ in seen.values()),
        }

    def campus_buy_online(self, body: dict[str, Any]) -> Answer:
        """Sell now or not at all."""
        student = self.person(body["student_id"])
        till = self.tills.get(body["terminal_id"])
        if till is None:
            raise Refused("not_found")
        moment = datetime.fromisoformat(body["purchased_at"])
        if moment > AHEAD or not _is_signed(till, body["terminal_id"], body):
            raise Refused("invalid_field")
        ref, amount = f"{body['terminal_id']}:{body['sequence']}", body["amount_minor"]
        if ref in student["sales"]:
            if student["sales"][ref] != (amount, moment):
                raise Refused("invalid_state")
            return "already_charged", {}
        day = moment.astimezone(_CHINA).date()
        spent = student["days"].get(day, 0)
        if student["cap"] is not None and spent + amount > student["cap"]:
            raise Refused("limit_exceeded")
        answer = self._charge(student, till, ref, amount, moment, online=True)
        till["seen"].setdefault(body["sequence"], (amount, body["student_id"], moment))
        return answer

    def campus_upload_sales(self, body: dict[str, Any]) -> Answer:
        """Take the records that are good, and charge their students at once."""
        till = self.tills[body["terminal_id"]]
        accepted = refused = duplicates = total = 0
        for record in body["records"]:
            moment = datetime.fromisoformat(record["purchased_at"])
            sale = (record["amount_minor"], record["student_id"], moment)
            before = till["seen"].get(record["sequence"])
            student = self.students.get(record["student_id"])
            bad = moment > AHEAD or not _is_signed(till, body["terminal_id"], record)
            if bad or record["sequence"] in till["lost"]:
                refused += 1
            elif before is not None:
                duplicates += before == sale
                refused += before != sale
            elif student is None:
                refused += 1
            else:
                accepted += 1
                total += sale[0]
                till["seen"][record["sequence"]] = sale
                ref = f"{body['terminal_id']}:{record['sequence']}"
                if ref not in student["sales"]:
                    self._charge(student, till, ref, sale[0], moment, online=False)
        whole = "accepted" if accepted else "nothing_new"
        status = ("partly" if accepted else "refused") if refused else whole
        return status, {
            "accepted": accepted,
            "accepted_minor": total,
            "duplicates": duplicates,
        }

    def campus_write_off_sequence(self, body: dict[str, Any]) -> Answer:
        """Give up numbers that were not seen."""
        till = self.tills[body["terminal_id"]]
        wanted = set(range(body["first"], body["last"] + 1))
        lost = wanted - till["seen"].keys() - till["lost"]
        till["lost"] |= lost
        return "written_off", {"written_off": len(lost)}

    def _charge(
        self,
        student: dict[str, Any],
        till: dict[str, Any],
        ref: str,
        amount: int,
        moment: datetime,
        *,
        online: bool,
    ) -> Answer:
        """Pay a sale from subsidies, then from the wallet; what is missing offline is owed."""
        parts = self._subsidies(student, till, amount)
        own = amount - sum(parts.values())
        wallet, payee = student["wallet"], till["payee"]
        mine = [(wallet, payee, own)] if own else []
        old = [(wallet, one, due) for _, _, one, due in student["debts"]]
        able = not student["left"] and wallet is not None
        if able and old and self.try_pay(mine + old) is None:
            student["debts"] = []
        else:
            code = self.try_pay(mine) if able or not own else "insufficient_funds"
            if code is not None and online:
                raise Refused(code)
            if code is not None:
                student["debts"] = sorted([*student["debts"], (moment, ref, payee, own)])
                own = 0
        fund = self.schools[student["school"]]["accounts"]["subsidy_fund"]
        for name, part in parts.items():
            self.held[fund] -= part
            self.balances[fund] -= part
            self.balances[payee] += part
            student["grants"] = [
                (end, one, left - part if one == name else left)
                for end, one, left in student["grants"]
            ]
        student["grants_over"] |= {one for _, one, left in student["grants"] if not left}
        student["grants"] = [one for one in student["grants"] if one[2]]
        student["sales"][ref] = (amount, moment)
        day = moment.astimezone(_CHINA).date()
        student["days"][day] = student["days"].get(day, 0) + amount
        return "charged", {
            "subsidy_minor": sum(parts.values()),
            "own_minor": own,
            "debts_minor": self.owed(student),
        }

    def _subsidies(
        self, student: dict[str, Any], till: dict[str, Any], amount: int
    ) -> dict[str, int]:
        parts: dict[str, int] = {}
        for _, name, left in student["grants"]:
            if till["category"] == "canteen" and amount:
                parts[name] = min(left, amount)
                amount -= parts[name]
        return parts


def _is_signed(till: dict[str, Any], terminal_id: str, record: dict[str, Any]) -> bool:
    moment = datetime.fromisoformat(record["purchased_at"])
    text = "|".join(
        (
            "campus.sale.v1",
            terminal_id,
            str(record["sequence"]),
            record["student_id"],
            str(record["amount_minor"]),
            str((moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)),
        )
    )
    try:
        till["key"].verify(bytes.fromhex(record["signature"]), text.encode())
    except InvalidSignature:
        return False
    return True
