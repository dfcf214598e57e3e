"""Errors out of task groups."""

import pytest

from zhihui.errors import NodeFailed, ungrouped


def _raise(error: BaseException) -> None:
    with ungrouped():
        raise error


def test_a_single_error_comes_out_of_its_groups() -> None:
    """An error that groups wrap one in another is raised as itself."""
    error = NodeFailed("n1")
    with pytest.raises(NodeFailed) as caught:
        _raise(ExceptionGroup("outer", [ExceptionGroup("inner", [error])]))
    assert caught.value is error


def test_several_errors_stay_a_group() -> None:
    """None of several errors is lost."""
    group = ExceptionGroup("both", [NodeFailed("n1"), NodeFailed("n2")])
    with pytest.raises(ExceptionGroup) as caught:
        _raise(group)
    assert caught.value is group


def test_a_plain_error_passes() -> None:
    """An error that no group wraps is left as it is."""
    with pytest.raises(NodeFailed):
        _raise(NodeFailed("n1"))
