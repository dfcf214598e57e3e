"""The page for risk officers: its rules are sound, its tables are complete."""

from typing import get_args

import msgspec

from actors.risk.decision import OUTCOMES
from actors.risk.rule_document import parse_rules
from actors.risk.rules import Rule
from tests.documents import blocks, rows

_PAGE = "docs/risk.md"


def test_the_rules_of_the_page_can_be_put() -> None:
    """Every document shown passes the check, and together they show every kind of rule."""
    shown = [parse_rules(block.text) for block in blocks(_PAGE) if block.language == "toml"]
    assert shown
    kinds = {type(rule) for rules in shown for rule in rules.rules}
    assert kinds == set(get_args(Rule))


def test_the_table_of_kinds_is_complete() -> None:
    """Each kind of rule has its line."""
    named = [row[0].strip("`") for row in rows(_PAGE, "Write rules")]
    assert named == [str(kind.__struct_config__.tag) for kind in get_args(Rule)]


def test_the_precedence_of_the_page_is_that_of_the_engine() -> None:
    """The table lists the outcomes from the strictest to the mildest."""
    named = [row[0].strip("`") for row in rows(_PAGE, "What a check comes to")]
    assert named == list(reversed(OUTCOMES))


def test_the_fields_that_the_page_names_exist() -> None:
    """What the table of kinds calls a field is one of the rule's."""
    by_tag = {str(kind.__struct_config__.tag): kind for kind in get_args(Rule)}
    for name, text in rows(_PAGE, "Write rules"):
        kind = by_tag[name.strip("`")]
        fields = {field.name for field in msgspec.structs.fields(kind)}
        values = {"block", "allow", "only"}
        words = [word for number, word in enumerate(text.split("`")) if number % 2]
        assert [word for word in words if word not in fields | values] == []
