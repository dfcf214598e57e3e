"""The form of the log: JSON lines for programs, text for people, passwords for nobody."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from zhihui.errors import SetupError
from zhihui.instruments.logs import LogForm, begin_log, log_form

_log = logging.getLogger("zhihui.test")
_ADDRESS = "postgresql://zhihui:s3cr3t@db.bank.internal:5432/zhihui"


def _fail() -> None:
    raise ConnectionError(f"cannot reach {_ADDRESS}")


@pytest.fixture
def written(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """What is logged while the test runs; the log is as before afterwards."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    form: LogForm = request.param
    begin_log(form, node="n1", stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize("written", ["json"], indirect=True)
def test_a_line_is_one_object(written: io.StringIO) -> None:
    """Each event is one line of JSON with its time in UTC, level, origin, node and extras."""
    _log.warning("a batch of %d events was refused:\n%s", 3, "twice", extra={"role": "out"})
    (line,) = written.getvalue().splitlines()
    record = json.loads(line)
    assert record.pop("timestamp").endswith("Z")
    assert record == {
        "event": "a batch of 3 events was refused:\ntwice", "level": "warning",
        "logger": "zhihui.test", "node": "n1", "role": "out",
    }  # fmt: skip


@pytest.mark.parametrize("written", ["json"], indirect=True)
def test_a_traceback_stays_in_its_line(written: io.StringIO) -> None:
    """An exception stands in the object of its event, without the passwords that it quotes."""
    try:
        _fail()
    except ConnectionError:
        _log.exception("the store is away")
    (line,) = written.getvalue().splitlines()
    assert "ConnectionError" in json.loads(line)["exception"]
    assert "s3cr3t" not in line
    assert "zhihui@db.bank.internal" in line


@pytest.mark.parametrize("written", ["json", "text"], indirect=True)
def test_passwords_of_addresses_are_taken_out(written: io.StringIO) -> None:
    """Whoever logs an address logs it without its password, in messages and in extras."""
    _log.error("cannot reach %s", _ADDRESS, extra={"address": _ADDRESS})
    assert "s3cr3t" not in written.getvalue()
    assert "postgresql://zhihui@db.bank.internal:5432/zhihui" in written.getvalue()


@pytest.mark.parametrize("written", ["text"], indirect=True)
def test_text_is_for_people(written: io.StringIO) -> None:
    """The other form is a line with time, level and origin in front of the sentence."""
    _log.info("hello")
    time, rest = written.getvalue().rstrip("\n").split(" ", 1)
    assert time.endswith("Z")
    assert rest == "INFO zhihui.test hello"


@pytest.mark.parametrize("written", ["json"], indirect=True)
def test_what_is_below_info_is_not_written(written: io.StringIO) -> None:
    """Nothing that happens with each message is in the log."""
    _log.debug("a message came")
    assert written.getvalue() == ""


def test_another_form_is_refused() -> None:
    """A setting that names no form is an error that names those there are."""
    assert log_form("text") == "text"
    with pytest.raises(SetupError, match="json or text"):
        log_form("xml")
