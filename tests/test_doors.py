"""One place each for what is dangerous; whatever else calls the same stands here with its reason."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import videoexpert

SOURCE = Path(videoexpert.__file__).parent
# the calls of a door, as they are written; files that make them, and why each may
DOORS: dict[str, tuple[str, dict[str, str]]] = {
    "containers are opened": (
        r"av\.open",
        {
            "video/container.py": "the door",
            "video/feeds.py": "what still grows, or comes through a pipe",
            **dict.fromkeys(("video/clip.py", "video/encode.py", "video/write.py"), "written, not read"),
        },
    ),
    "models are opened by transformers": (
        r"(?!VisionEncoder).*\.from_pretrained",
        {
            "pretrained.py": "the door",
            "backends/chat/processors.py": "processors, inside its guard",
            "backends/chat/local.py": "chat models, inside its guard",
        },
    ),
    "text is parsed": (
        r"json\.loads?|yaml\.\w*load\w*|csv\.(reader|DictReader)|gzip\.\w+",
        {
            "files/read.py": "the door",
            "files/records.py": "rows of CSV, from its text",
            "scoring/predictions.py": "keys that come twice count; its own guard",
            "features/store.py": "our own values, made plain",
            "features/unchanged.py": "our own values, made plain",
            "backends/fitted.py": "our own values, made plain",
            "library/manifest.py": "the library's own database",
            "library/graph.py": "the library's own notes",
            "library/snapshot.py": "the library's own notes",
            "apps/server/state.py": "the server's own database",
            "apps/server/service.py": "a file of the package",
            "apps/commands/tools.py": "a file of the package",
            "apps/startup.py": "starts before anything heavy; its own guard",
        },
    ),
    "weights are opened": (
        r"safe_open|load_file|torch\.load|pickle\.load|np\.load",
        {
            "pretrained.py": "the door: kinds of numbers, before transformers reads them",
            "hub.py": "whether a download is whole",
            "checkpoints/weights.py": "our own models'",
            "checkpoints/released/files.py": "the authors', by convert alone",
            "features/store.py": "tokens",
            "features/lighthouse.py": "clip features, bounded before",
            "library/shards.py": "the library's own embeddings",
            **dict.fromkeys(
                ("training/trainer.py", "ablation/world.py", "shipped/stage.py"), "a run's own checkpoint"
            ),
        },
    ),
    "what is foreign is printed": (
        r"print|typer\.echo|sys\.stdout\.write|sys\.stderr\.write",
        {
            "apps/terminal.py": "the door",
            "apps/cli.py": "one word",
            "apps/program.py": "the version",
            "apps/waiting.py": "escaped there",
            "apps/commands/watch.py": "JSON, through the door's escapes",
            "training/progress.py": "numbers",
        },
    ),
    "files are written": (
        r"(?!files\.).*\.(write_text|write_bytes|savefig)|np\.savez?|torch\.save|(safetensors\.torch\.)?save_file",
        {
            "files/write.py": "the door",
            **dict.fromkeys(
                (
                    *("ablation/report.py", "features/lighthouse.py"),
                    *("features/store.py", "library/shards.py", "library/export.py", "checkpoints/folder.py"),
                    *("checkpoints/peft.py", "checkpoints/released/base.py", "training/trainer.py"),
                    *("ablation/world.py", "shipped/stage.py", "plot/hits.py", "plot/bias.py", "plot/panels.py"),
                ),
                "into what the door gives to fill",
            ),
            "locks.py": "a lock, made whole by a link",
        },
    ),
    "folders are made": (
        r".*\.mkdir|os\.makedirs",
        {
            "files/write.py": "the door",
            "training/trainer.py": "a run's own checkpoint, inside the folder of the run",
        },
    ),
}  # fmt: skip


def callers(pattern: str) -> set[str]:
    """Files of the package that make a call of that name."""
    found = set()
    for file in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and re.fullmatch(pattern, ast.unparse(node.func), re.DOTALL):
                found.add(file.relative_to(SOURCE).as_posix())
    return found


@pytest.mark.parametrize("door", DOORS)
def test_there_is_one_door(door):
    pattern, allowed = DOORS[door]
    assert callers(pattern) == set(allowed)
