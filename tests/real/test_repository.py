"""The repository keeps its own promises: the lock, the make targets, the guides, CI's rule."""

import ast
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]
GUIDES = ["README.md", "CONTRIBUTING.md", "docs/decisions/lock.md"]

pytestmark = pytest.mark.real


def text(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def locked() -> dict[str, list[str]]:
    """Name -> versions in requirements.lock."""
    found: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([a-z0-9.-]+)==(\S+)", text("requirements.lock"), re.M):
        found.setdefault(name, []).append(version)
    return found


def test_the_lock_names_no_index_no_address_and_no_path() -> None:
    assert not re.findall(r"://|file:|--index|--find-links|--extra|@ |/", without_hashes())


def without_hashes() -> str:
    lines = text("requirements.lock").splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith("--hash=sha256:"))


def test_every_locked_package_has_hashes() -> None:
    for block in re.split(r"\n(?=[a-z])", text("requirements.lock"))[1:]:
        assert "--hash=sha256:" in block, block.splitlines()[0]


def test_the_lock_satisfies_every_dependency_that_is_declared() -> None:
    project = tomllib.loads(text("pyproject.toml"))
    declared = [
        *project["project"]["dependencies"],
        *project["dependency-groups"]["dev"],
        *project["build-system"]["requires"],
    ]
    versions = locked()
    for requirement in map(Requirement, declared):
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        assert name in versions, f"{name} is not in requirements.lock: make lock"
        assert all(requirement.specifier.contains(Version(v)) for v in versions[name]), name


@pytest.mark.parametrize("guide", GUIDES)
def test_every_make_target_in_the_guides_exists(guide: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", text("Makefile"), re.M))
    spoken = {
        word
        for words in re.findall(r"(?:^|`)make((?: [a-z]+)+)", text(guide), re.M)
        for word in words.split()
    }
    assert spoken
    assert spoken <= targets


@pytest.mark.parametrize(
    "guide",
    [
        *GUIDES,
        "docs/architecture.md",
        "docs/commands.md",
        "docs/language.md",
        "docs/decisions/README.md",
    ],
)
def test_every_link_in_the_guides_leads_somewhere(guide: str) -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", text(guide)):
        assert ((ROOT / guide).parent / link).exists(), link


def test_every_name_in_the_contributing_guide_is_real() -> None:
    guide = text("CONTRIBUTING.md")
    for dotted in re.findall(r"`(controller(?:\.\w+)+)`", guide):
        assert pkgutil.resolve_name(dotted) is not None
    for path in re.findall(r"`((?:controller|tests|docs)/[\w/.-]*)`", guide):
        assert (ROOT / path).exists(), path


def test_a_python_that_is_too_old_or_missing_is_named_with_the_remedy(tmp_path: Path) -> None:
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    done = subprocess.run(
        ["make", "install", "PYTHON="], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "Python 3.11 or newer is needed" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_ci_runs_the_test_command_of_the_readme() -> None:
    body = text(".ci/run")
    function = body[body.index("readme_block()") : body.index("\ntest_command=")]
    done = subprocess.run(
        ["bash", "-c", f"{function}\nreadme_block test"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "make test\n"


@pytest.mark.parametrize(("on_ci", "code"), [("true", 1), ("", 0)])
def test_a_skipped_test_fails_the_run_on_ci_and_only_there(
    tmp_path: Path, on_ci: str, code: int
) -> None:
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "test_one.py").write_text(
        "import pytest\n\ndef test_runs(): pass\n\n@pytest.mark.skip\ndef test_skips(): pass\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "CI": on_ci},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout
    assert "1 passed, 1 skipped" in done.stdout


@pytest.mark.parametrize("room", ["core", "judge"])
def test_what_decides_and_judges_asks_no_clock(room: str) -> None:
    asks = {"now", "utcnow", "today", "perf_counter", "monotonic"}
    for path in sorted((ROOT / "controller" / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                assert node.func.attr not in asks, f"{path}:{node.lineno}"


def test_the_package_that_is_installed_has_all_that_the_demo_plays(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as package:
        held = {name for name in package.namelist() if name.startswith("controller/demo/policies/")}
    shipped = {path.relative_to(ROOT / "policies") for path in (ROOT / "policies").rglob("demo*")}
    assert shipped
    assert {f"controller/demo/policies/{path}" for path in shipped} <= held
