"""The files of recipes/accelerate start as many processes as they say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FILES = Path(__file__).resolve().parents[2] / "recipes" / "accelerate"


@pytest.mark.slow
def test_the_file_for_cpus_starts_two_processes(tmp_path):
    said = tmp_path / "said.py"
    said.write_text(
        "import os, pathlib\npathlib.Path(__file__).with_name(os.environ['RANK']).write_text('')\n"
    )
    launch = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch"]
    launch += ["--config_file", str(FILES / "cpu.yaml"), "--main_process_port", "0"]
    subprocess.run([*launch, str(said)], env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True)
    assert {file.name for file in tmp_path.iterdir()} == {"said.py", "0", "1"}
