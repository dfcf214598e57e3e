"""Students and bills in the sequential model: one dictionary each, one message after another."""

from typing import Any

from plugins.campus.samples.bank import Bank, Refused

__all__ = ("Answer", "Bills", "Roster")

# A status and fields of the result that must be equal.
Answer = tuple[str, dict[str, Any]]


class Roster(Bank):
    """The school's books about people."""

    def __init__(self) -> None:
        super().__init__()
        self.schools: dict[str, dict[str, Any]] = {}
        self.students: dict[str, dict[str, Any]] = {}
        self.guardians: dict[str, str] = {}

    def person(self, student_id: str, *, active: bool = True) -> dict[str, Any]:
        """Return a student, or raise."""
        student = self.students.get(student_id)
        if student is None:
            raise Refused("not_found")
        if active and student["left"]:
            raise Refused("invalid_state")
        return student

    def purse_of(self, student: dict[str, Any], guardian_id: str) -> str:
        """Return the account of a guardian of the student, or raise."""
        if guardian_id not in student["guardians"] or guardian_id not in self.guardians:
            raise Refused("not_found")
        return self.guardians[guardian_id]

    def school_of(self, school_id: str) -> dict[str, Any]:
        """Return a school, or raise."""
        if school_id not in self.schools:
            raise Refused("not_found")
        return self.schools[school_id]

    def check_officer(self, school_id: str, officer_id: str, may: str) -> None:
        """Raise unless the officer may do this."""
        if not self.school_of(school_id)["officers"].get(officer_id, {}).get(may):
            raise Refused("not_found")

    def campus_open_school(self, body: dict[str, Any]) -> Answer:
        """Open a school."""
        self.schools[body["school_id"]] = {
            "accounts": body["accounts"],
            "officers": {one["officer_id"]: one for one in body["officers"]},
            "classes": set(),
            "terms": set(),
        }
        return "opened", {}

    def campus_get_school(self, body: dict[str, Any]) -> Answer:
        """Read a school."""
        self.school_of(body["school_id"])
        return "open", {}

    def campus_import_roster(self, body: dict[str, Any]) -> Answer:
        """Take over a part of the roster, and enrol at once."""
        school = self.school_of(body["school_id"])
        school["terms"] |= {one["term_id"] for one in body.get("terms", ())}
        school["classes"] |= {one["class_id"] for one in body.get("classes", ())}
        accepted = 0
        seen: set[str] = set()
        for row in body.get("students", ()):
            guardians = [one["guardian_id"] for one in row["guardians"]]
            name = row["student_id"]
            fits = row["class_id"] in school["classes"] and len(set(guardians)) == len(guardians)
            if name not in seen and fits:
                accepted += 1
                student = self.students.setdefault(name, _newcomer(body["school_id"]))
                student["guardians"] = guardians
            seen.add(name)
        return "imported", {"accepted": accepted}

    def campus_bind_guardian(self, body: dict[str, Any]) -> Answer:
        """Name a guardian's account."""
        same = self.guardians.get(body["guardian_id"]) == body["account_id"]
        self.guardians[body["guardian_id"]] = body["account_id"]
        return ("unchanged" if same else "bound"), {}

    def campus_bind_wallet(self, body: dict[str, Any]) -> Answer:
        """Name a student's wallet, once."""
        student = self.person(body["student_id"])
        before = student["wallet"]
        if before is not None and before != body["account_id"]:
            raise Refused("invalid_state")
        student["wallet"] = body["account_id"]
        return ("bound" if before is None else "unchanged"), {}

    def campus_set_cap(self, body: dict[str, Any]) -> Answer:
        """Cap a student's days."""
        student = self.person(body["student_id"])
        self.purse_of(student, body["guardian_id"])
        same = student["cap"] == body["day_cap_minor"]
        student["cap"] = body["day_cap_minor"]
        return ("unchanged" if same else "set"), {}

    def campus_get_student(self, body: dict[str, Any]) -> Answer:
        """Read a student."""
        student = self.person(body["student_id"], active=False)
        return ("left" if student["left"] else "active"), {
            "bills_minor": sum(student["bills"].values()),
            "debts_minor": sum(amount for *_, amount in student["debts"]),
            "grants_minor": sum(left for *_, left in student["grants"]),
            "sales": len(student["sales"]),
        }


class Bills(Roster):
    """The school's books about bills."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: dict[str, dict[str, int]] = {}

    def campus_issue_bills(self, body: dict[str, Any]) -> Answer:
        """Issue a part of a batch, and hand the bills out at once."""
        school = self.school_of(body["school_id"])
        if body["term_id"] not in school["terms"]:
            raise Refused("not_found")
        batch = self.batches.setdefault(
            body["batch_id"], dict.fromkeys(("issued", "settled", "paid", "waived", "minor"), 0)
        )
        accepted = 0
        for row in {row["student_id"]: row for row in reversed(body["rows"])}.values():
            student = self.students.get(row["student_id"])
            if student is not None and not student["left"]:
                student["bills"][body["batch_id"]] = row["amount_minor"]
                accepted += 1
                batch["issued"] += 1
                batch["minor"] += row["amount_minor"]
        return "issued", {"accepted": accepted}

    def campus_get_batch(self, body: dict[str, Any]) -> Answer:
        """Read how far a batch is."""
        if body["batch_id"] not in self.batches:
            raise Refused("not_found")
        batch = self.batches[body["batch_id"]]
        return ("settled" if batch["settled"] == batch["issued"] else "open"), {
            "issued": batch["issued"],
            "settled": batch["settled"],
            "issued_minor": batch["minor"],
            "paid_minor": batch["paid"],
            "waived_minor": batch["waived"],
        }

    def _open_bill(self, student: dict[str, Any], bill_id: str) -> int:
        if bill_id not in student["bills"]:
            raise Refused("not_found")
        left: int = student["bills"][bill_id]
        if left == 0:
            raise Refused("invalid_state")
        return left

    def _wanted(self, body: dict[str, Any], left: int) -> int:
        wanted: int = left if body.get("amount_minor") is None else body["amount_minor"]
        if wanted > left:
            raise Refused("invalid_field")
        return wanted

    def _lower(self, student: dict[str, Any], bill_id: str, amount: int, how: str) -> int:
        student["bills"][bill_id] -= amount
        batch = self.batches[bill_id]
        batch[how] += amount
        batch["settled"] += student["bills"][bill_id] == 0
        left: int = student["bills"][bill_id]
        return left

    def campus_pay_bill(self, body: dict[str, Any]) -> Answer:
        """Pay a bill or a part of it."""
        student = self.person(body["student_id"])
        amount = self._wanted(body, self._open_bill(student, body["bill_id"]))
        if body.get("guardian_id") is None:
            payer = student["wallet"]
        else:
            payer = self.purse_of(student, body["guardian_id"])
        supervised = self.schools[student["school"]]["accounts"]["supervised"]
        self.pay([(payer, supervised, amount)])
        left = self._lower(student, body["bill_id"], amount, "paid")
        numbers = {"paid_minor": amount, "open_minor": left}
        return ("partly_paid" if left else "settled"), numbers

    def campus_waive_bill(self, body: dict[str, Any]) -> Answer:
        """Forgive a bill or a part of it."""
        student = self.person(body["student_id"])
        left = self._open_bill(student, body["bill_id"])
        self.check_officer(student["school"], body["officer_id"], "may_approve")
        amount = self._wanted(body, left)
        left = self._lower(student, body["bill_id"], amount, "waived")
        return ("partly_waived" if left else "waived"), {"waived_minor": amount}

    def campus_agree_instalments(self, body: dict[str, Any]) -> Answer:
        """Split what is open; the model keeps the sum only."""
        student = self.person(body["student_id"])
        left = self._open_bill(student, body["bill_id"])
        self.check_officer(student["school"], body["officer_id"], "may_approve")
        return "agreed", {"open_minor": left}

    def campus_get_family(self, body: dict[str, Any]) -> Answer:
        """Read what the children of a guardian owe."""
        children = [self.students[one] for one in body["student_ids"]]
        return "bound", {
            "bills_minor": sum(sum(child["bills"].values()) for child in children),
            "debts_minor": sum(amount for child in children for *_, amount in child["debts"]),
        }

    def campus_pay_family(self, body: dict[str, Any]) -> Answer:
        """Pay bills of several children: straight to where the money ends."""
        if body["guardian_id"] not in self.guardians:
            raise Refused("not_found")
        payer = self.guardians[body["guardian_id"]]
        items = [(one["student_id"], one["bill_id"], one["amount_minor"]) for one in body["items"]]
        if len({item[:2] for item in items}) < len(items):
            raise Refused("invalid_field")
        payments = []
        for student_id, bill_id, amount in items:
            child = self.students.get(student_id)
            if child is None or body["guardian_id"] not in child["guardians"]:
                raise Refused("not_found")
            if amount > self._open_bill(child, bill_id):
                raise Refused("invalid_field")
            payments.append(
                (payer, self.schools[child["school"]]["accounts"]["supervised"], amount)
            )
        self.pay(payments)
        for student_id, bill_id, amount in items:
            self._lower(self.students[student_id], bill_id, amount, "paid")
        return "paid", {"paid_minor": sum(amount for *_, amount in items)}


def _newcomer(school_id: str) -> dict[str, Any]:
    return {
        "school": school_id,
        "guardians": [],
        "left": False,
        "wallet": None,
        "cap": None,
        "days": {},
        # The amount of each sale by terminal and number.
        "sales": {},
        # (moment, terminal and number, payee, amount), and (end, name, what is left).
        "debts": [],
        "grants": [],
        "grants_over": set(),
        # What is open of each bill.
        "bills": {},
    }
