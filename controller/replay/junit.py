"""Results of scenarios as JUnit XML, which CI systems read."""

from collections.abc import Sequence
from xml.etree import ElementTree

from controller.replay.outcome import ScenarioResult


def junit_xml(results: Sequence[ScenarioResult]) -> str:
    """One test suite per scenario file."""
    root = ElementTree.Element("testsuites")
    for path in dict.fromkeys(result.scenario.path for result in results):
        own = [result for result in results if result.scenario.path == path]
        failed = str(sum(not result.passed for result in own))
        suite = ElementTree.SubElement(
            root, "testsuite", name=str(path), tests=str(len(own)), failures=failed
        )
        for result in own:
            case = ElementTree.SubElement(
                suite, "testcase", name=result.scenario.name, classname=path.name,
                file=str(path), line=str(result.scenario.line),
            )  # fmt: skip
            for failure in result.failures:
                told = ElementTree.SubElement(case, "failure", message=failure.expectation.text)
                told.text = str(failure)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"
