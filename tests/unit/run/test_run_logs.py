"""The log: one line per record, whatever happened."""

import io
import logging
from collections.abc import Iterator

import msgspec
import pytest

from controller.run import logs


@pytest.fixture(autouse=True)
def root_logger_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_record_is_one_line_of_text_traceback_included() -> None:
    stream = io.StringIO()
    logs.configure("info", "text", stream)
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logging.getLogger("desk").exception("it broke")
    (line,) = stream.getvalue().splitlines()
    assert "ERROR    desk: it broke | Traceback" in line
    assert line[10] == "T" and line[23] == "Z"


def test_a_record_is_one_json_object() -> None:
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    logging.getLogger("desk").debug("not asked for")
    logging.getLogger("desk").warning("late by %ds", 3)
    (line,) = stream.getvalue().splitlines()
    found = msgspec.json.decode(line)
    assert (found["level"], found["logger"], found["message"]) == ("warning", "desk", "late by 3s")


def test_libraries_that_log_each_step_are_quiet() -> None:
    stream = io.StringIO()
    logs.configure("info", "text", stream)
    logging.getLogger("apscheduler.executors.default").info("Running job")
    assert stream.getvalue() == ""
