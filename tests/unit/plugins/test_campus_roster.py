"""The school, its roster, its guardians."""

from typing import Any

import msgspec
import pytest

from tests.unit.plugins.campus_lab import NOW, OFFICERS, SCHOOL, CampusHost, any_order, day
from zhihui.plugin import InvalidField, NotFound


@pytest.fixture(name="host")
def _host() -> CampusHost:
    return CampusHost()


def row(student: str, class_id: str = "7a", **fields: Any) -> dict[str, Any]:
    return {"student_id": student, "class_id": class_id, "name": student} | fields


def imported(host: CampusHost, *rows: dict[str, Any], **fields: Any) -> Any:
    result = host.call("import_roster", school_id=SCHOOL, students=rows, **fields)
    host.deliver()
    return result


def test_import_enrols_students_and_tells_of_each(host: CampusHost) -> None:
    """Each accepted row is a student, and an event says that it was enrolled."""
    before = len(host.heard)
    result = imported(host, row("kim"), row("lee"))
    assert (result.accepted, result.refused, result.status) == (2, (), "imported")
    told = [data.student_id for _, data in host.heard[before + 1 :]]  # type: ignore[attr-defined]
    assert told == ["kim", "lee"]
    assert host.call("get_student", student_id="kim").status == "active"


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (row("kim", "9z"), "unknown_class"),
        (row("lee"), "duplicate_row"),
        (row("kim", guardians=[{"guardian_id": "g"}] * 2), "duplicate_guardian"),
    ],
)
def test_bad_row_is_refused_alone(host: CampusHost, wrong: dict[str, Any], code: str) -> None:
    """A row that cannot be right is named with its reason, and the others stand."""
    result = imported(host, row("lee"), wrong, row("zoe"))
    assert [(one.row, one.code) for one in result.refused] == [(1, code)]
    assert result.accepted == 2
    assert host.student("zoe").class_id == "7a"


def test_student_of_another_school_is_refused_until_it_has_left(host: CampusHost) -> None:
    """No school takes a student from another; who has left may be enrolled again."""
    accounts = {
        "supervised": "acct-s2", "clearing": "acct-c2", "subsidy_fund": "acct-f2",
        "power": "acct-p2",
    }  # fmt: skip
    host.call("open_school", school_id="lowland", accounts=accounts, officers=OFFICERS)
    classes = [{"class_id": "7a", "grade": "7"}]

    def take() -> Any:
        result = host.call(
            "import_roster", school_id="lowland", classes=classes, students=[row("ann")]
        )
        host.deliver()
        return result

    assert [one.code for one in take().refused] == ["other_school"]
    assert host.student("ann").school_id == SCHOOL
    host.call("leave_school", student_id="ann", guardian_id="mother", balance_minor=0)
    assert take().refused == ()
    ann = host.student("ann")
    assert (ann.school_id, ann.status, ann.wallet) == ("lowland", "active", None)


def test_later_part_counts_in_whatever_order_parts_arrive(host: CampusHost) -> None:
    """Two parts about one student end with the one sent last, if they overtake each other too."""
    for seed in range(8):
        for class_id in ("7b", "7c"):
            host.call(
                "import_roster",
                school_id=SCHOOL,
                classes=[{"class_id": class_id, "grade": "7"}],
                students=[row("ann", class_id)],
            )
        host.deliver(any_order(seed))
        assert host.student("ann").class_id == "7c"
        imported(host, row("ann", "7a"))


def test_same_roster_again_changes_nothing(host: CampusHost) -> None:
    """A student that is as the roster says is left alone, and nobody is told."""
    imported(host, row("kim"))
    before = host.student("kim")
    told = len(host.heard)
    imported(host, row("kim"))
    assert msgspec.structs.replace(host.student("kim"), revision=before.revision) == before
    assert [type_ for type_, _ in host.heard[told:]] == ["campus.roster_imported"]


def test_term_must_end_after_it_begins(host: CampusHost) -> None:
    """A term of negative length is a mistake in the file."""
    term = {
        "term_id": "x", "name": "x", "begins_at": day(1).isoformat(), "ends_at": NOW.isoformat(),
    }  # fmt: skip
    with pytest.raises(InvalidField) as caught:
        imported(host, terms=[term])
    assert caught.value.field == "terms[0].ends_at"


def test_opening_again_keeps_the_roster(host: CampusHost) -> None:
    """New officers do not lose the classes; the same ones change nothing."""
    assert host.call("open_school", **host.school()).status == "unchanged"
    changed = host.school(officers=OFFICERS[:1], remind_every_days=3)
    assert host.call("open_school", **changed).status == "updated"
    view = host.call("get_school", school_id=SCHOOL)
    assert [one.class_id for one in view.classes] == ["7a"]
    assert (view.remind_every_days, len(view.officers)) == (3, 1)


def test_accounts_of_a_school_are_kept_apart(host: CampusHost) -> None:
    """Fees, subsidies and power may not flow together, and officers have names of their own."""
    accounts = host.school()["accounts"] | {"power": "acct-supervised"}
    with pytest.raises(InvalidField) as caught:
        host.call("open_school", **host.school(accounts=accounts))
    assert caught.value.field == "accounts"
    with pytest.raises(InvalidField):
        host.call("open_school", **host.school(officers=OFFICERS[:1] * 2))
    with pytest.raises(InvalidField):
        host.call("open_school", **host.school(zone="Mars/Olympus"))


def test_unknown_school_takes_no_roster(host: CampusHost) -> None:
    """A school that was never opened is not found."""
    with pytest.raises(NotFound):
        host.call("import_roster", school_id="nowhere", students=[row("kim")])
    with pytest.raises(NotFound):
        host.call("get_school", school_id="nowhere")


def test_family_shows_what_all_children_owe(host: CampusHost) -> None:
    """One read answers a parent for all children, and a stranger for none."""
    host.bill({"ann": 500, "ben": 300})
    view = host.call("get_family", guardian_id="mother", student_ids=["ann", "ben"])
    assert (view.bills_minor, [child.bills_minor for child in view.children]) == (800, [500, 300])
    with pytest.raises(NotFound) as caught:
        host.call("get_family", guardian_id="aunt", student_ids=["eve", "ann"])
    assert caught.value.field == "student_ids[1]"


def test_roster_has_no_place_for_identity_numbers() -> None:
    """A row with a field beyond number, class, name and guardians is refused at the edge."""
    host = CampusHost()
    with pytest.raises(msgspec.ValidationError, match="id_number"):
        imported(host, row("kim", id_number="110101199001011237"))
