"""What holds for every test: on CI nothing is skipped."""

import os

import pytest


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A skip says what to install. CI has it all, so there a skip is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not os.environ.get("CI"):
        return
    if reporter.stats.get("skipped") and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter.section("skipped on CI, where everything must run", sep="!", red=True)
