"""Known holes in the pinned packages: ``python reports/audit.py`` exits with 1 and names them, if there are any.

pip-audit asks its database where it is installed and a network is there. Pins on which it has no answer (no network, a
package index that knows no holes) are matched against ``advisories.json``, the advisories of the PyPA advisory database
(CC BY 4.0) on these packages, as they were on the file's date: a hole that became known later is not in it, and the
output says so.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

ROOT = Path(__file__).resolve().parents[1]
PINS = ROOT / "constraints.txt"
SNAPSHOT = Path(__file__).with_name("advisories.json")
TIMEOUT_S = 300


def pins(file: Path) -> dict[str, str]:
    """Version by package name, in the spelling of the database."""
    found = re.findall(r"^([\w.-]+)==([^\s;#]+)", file.read_text(encoding="utf-8"), re.MULTILINE)
    return {spelled(name): version for name, version in found}


def spelled(name: str) -> str:
    """A package's name as the database spells it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def matches(pinned: Mapping[str, str], snapshot: Mapping[str, Any]) -> list[str]:
    """A line for every advisory that speaks of a pinned version."""
    return [
        f"{row['package']} {pinned[row['package']]}: {', '.join([row['id'], *row['aliases']])}; {_remedy(row, version)}"
        for row in snapshot["advisories"]
        if row["package"] in pinned
        and (version := Version(pinned[row["package"]]))
        and any(_within(version, start, fixed) for start, fixed in row["ranges"])
    ]


def _within(version: Version, start: str, fixed: str | None) -> bool:
    """Whether a version lies in [start, fixed). A bound that is no version counts as reached: better a false alarm."""
    try:
        return Version(start) <= version and (fixed is None or version < Version(fixed))
    except InvalidVersion:
        return True


def _remedy(row: Mapping[str, Any], version: Version) -> str:
    fixed = [end for start, end in row["ranges"] if _within(version, start, end) and end]
    return f"fixed in {fixed[0]}" if fixed else "no version is fixed"


def ask_pip_audit(file: Path) -> dict[str, list[str]]:
    """The holes of each package that pip-audit could audit, not of those that it skips; {} where it gives no answer."""
    program = shutil.which("pip-audit")
    if program is None:
        return {}
    command = [program, "--requirement", str(file), "--no-deps", "--disable-pip", "--format", "json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        packages = json.loads(done.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, ValueError, KeyError, TypeError):
        return {}
    return {
        spelled(package["name"]): [
            f"{package['name']} {package['version']}: {hole['id']}; "
            f"fixed in {', '.join(hole['fix_versions']) or 'nothing'}"
            for hole in package.get("vulns", [])
        ]
        for package in packages
        if "skip_reason" not in package
    }


def main(arguments: list[str] | None = None) -> int:
    """Audits a file of pins; see the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pins", type=Path, default=PINS, help="a file of NAME==VERSION lines")
    parser.add_argument("--offline", action="store_true", help="match the bundled advisories only")
    args = parser.parse_args(arguments)
    pinned = pins(args.pins)
    audited = {} if args.offline else ask_pip_audit(args.pins)
    rest = {name: version for name, version in pinned.items() if name not in audited}
    found, sources = [line for lines in audited.values() for line in lines], []
    if audited:
        sources.append(f"pip-audit on {len(audited)}")
    if rest:
        snapshot = json.loads(SNAPSHOT.read_text(encoding="utf-8"))
        found += matches(rest, snapshot)
        on = f"on {len(rest)} " if audited else ""
        sources.append(
            f"{on}{len(snapshot['advisories'])} bundled advisories of {snapshot['date']}, none later"
        )
        unknown = sorted(set(rest) - set(snapshot["packages"]))
        if unknown:
            sources.append(f"{len(unknown)} packages are not covered: {', '.join(unknown)}")
    for line in found:
        print(line)
    print(f"{len(pinned)} pinned packages, {len(found)} known holes ({'; '.join(sources)})")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
