"""Which files below a directory are taken for policies and scenarios."""

from pathlib import Path

from controller.policy.files import files_below, is_policy
from controller.replay import find_scenarios

NAMES = (
    "b.yaml", "a/c.yml", "a/c.scenarios.yaml", "a/notes.txt",
    ".venv/lib/x.yaml", ".venv/lib/x.scenarios.yaml", "a/.hidden.yaml",
)  # fmt: skip


def test_hidden_places_are_passed_over_and_names_tell_policies_from_scenarios(
    tmp_path: Path,
) -> None:
    for name in NAMES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    policies = [path for path in files_below(tmp_path) if is_policy(path)]
    assert policies == [tmp_path / "b.yaml", tmp_path / "a/c.yml"]
    assert list(find_scenarios([tmp_path])) == [tmp_path / "a/c.scenarios.yaml"]
