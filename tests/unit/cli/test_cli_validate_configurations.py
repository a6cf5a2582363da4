"""A configuration in YAML below the policies is no policy, unless somebody asks for it by name."""

from pathlib import Path

import pytest
from support.parameters import POLICY, write_files

from controller.cli.policies import validate


def test_configurations_are_not_read_as_policies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_files(tmp_path).write_text(POLICY)
    (tmp_path / "live.yaml").write_text("flow: {}\n")
    validate([tmp_path])
    assert "1 of 1 policy fine" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        validate([tmp_path / "v1.yaml", tmp_path / "policy.yaml"])
    assert "1 of 2 policies fine" in capsys.readouterr().out
