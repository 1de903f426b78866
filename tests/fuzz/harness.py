"""Runs cases of a target in a child process that may use so much memory, and so much processor time a case.

    python -m fuzz.harness videos --cases 10000 [--first 0] [--keep FOLDER]

A child that dies or runs out of time is a finding; the next one goes on behind it. Exits with 1 if anything was found.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import select
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CPU_S = 10.0  # of one case; a sound one takes hundredths
MEMORY_BYTES = 2 * 2**30  # above what a child has mapped when it begins
REGRESSIONS = Path(__file__).parent / "regressions"
CURRENT = "current"  # the input that is being checked
_TICK_S = 0.5


@dataclass(frozen=True)
class Finding:
    """``case``: its seed, or the name of its regression; what went wrong; and the input."""

    case: str
    fault: str
    data: bytes = b""


def run(
    target: str,
    cases: int,
    first: int = 0,
    *,
    regressions: bool = True,
    cpu_s: float = CPU_S,
    memory_bytes: int = MEMORY_BYTES,
) -> list[Finding]:
    """Checks the regressions of a target, then ``cases`` seeds from ``first`` on."""
    jobs = sorted(f.name for f in (REGRESSIONS / target).glob("*")) if regressions else []
    jobs += [str(seed) for seed in range(first, first + cases)]
    found: list[Finding] = []
    with tempfile.TemporaryDirectory() as folder:
        while jobs:
            done, fault = _child(target, jobs, Path(folder), cpu_s, memory_bytes, found)
            if fault:
                found.append(Finding(jobs[done], fault, (Path(folder) / CURRENT).read_bytes()))
            jobs = jobs[done + 1 :]
    return found


def _child(
    target: str, jobs: list[str], folder: Path, cpu_s: float, memory_bytes: int, found: list[Finding]
) -> tuple[int, str]:
    """(cases done, what ended the child early or ""). Faults that the child survives go to ``found``."""
    command = [
        sys.executable,
        "-m",
        "fuzz.harness",
        target,
        "--child",
        str(folder),
        "--memory",
        str(memory_bytes),
    ]
    root = Path(__file__).resolve().parents[1]
    path = os.pathsep.join([str(root), *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=folder
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(jobs))
    process.stdin.close()
    done, began = 0, 0.0
    try:
        for line in _lines(process):
            if line is None:
                if began and _cpu_s(process.pid) - began > cpu_s:
                    return done, f"more than {cpu_s:g} s of processor time"
                continue
            word, _, rest = line.partition(" ")
            if word == "begin":
                began = float(rest)
            elif word == "fault":
                found.append(Finding(jobs[done], rest, (folder / f"fault-{jobs[done]}").read_bytes()))
            elif word == "end":
                done += 1
        status = process.wait()
        return done, "" if status == 0 and done == len(jobs) else f"the child ended with status {status}"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _lines(process: Any) -> Iterator[str | None]:
    """Lines of the child as they come; None whenever a while passes without one."""
    pending = b""
    number = process.stdout.fileno()
    while True:
        ready, _, _ = select.select([number], [], [], _TICK_S)
        if not ready:
            yield None
            continue
        data = os.read(number, 65536)
        if not data:
            return
        *lines, pending = (pending + data).split(b"\n")
        yield from (line.decode() for line in lines)


def _cpu_s(pid: int) -> float:
    """Seconds of processor time that a process has used; 0 where the system does not say."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _serve(target: str, folder: Path, memory_bytes: int) -> None:
    """The child: reads the list of jobs, and says on stdout when each begins and how it ends."""
    module = importlib.import_module(f"fuzz.{target}")
    jobs = json.loads(sys.stdin.read())
    out, sys.stdout = sys.stdout, sys.stderr
    state = module.prepare(folder)
    _limit(memory_bytes)
    for job in jobs:
        print(f"begin {sum(os.times()[:2])}", file=out, flush=True)
        regression = REGRESSIONS / target / job
        data = regression.read_bytes() if regression.is_file() else module.case(state, int(job))
        (folder / CURRENT).write_bytes(data)
        try:
            module.check(data, folder)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            last = traceback.extract_tb(error.__traceback__)[-1]
            said = " ".join(
                f"{type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno})".split()
            )
            (folder / f"fault-{job}").write_bytes(data)
            print(f"fault {said}", file=out, flush=True)
        print("end", file=out, flush=True)


def _limit(memory_bytes: int) -> None:
    try:
        import resource
    except ImportError:
        return
    mapped = Path("/proc/self/statm")
    if mapped.exists():
        most = int(mapped.read_text().split()[0]) * resource.getpagesize() + memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target")
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the inputs of what is found")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument(
        "--memory", type=int, default=MEMORY_BYTES, help="bytes above what a child begins with"
    )
    args = parser.parse_args()
    if args.child is not None:
        _serve(args.target, args.child, args.memory)
        return 0
    found = run(args.target, args.cases, args.first, memory_bytes=args.memory)
    for finding in found:
        print(f"{args.target} {finding.case}: {finding.fault}")
        if args.keep is not None and finding.case.isdigit():
            args.keep.mkdir(parents=True, exist_ok=True)
            (args.keep / finding.case).write_bytes(finding.data)
    print(f"{args.cases} cases of {args.target} from seed {args.first}: {len(found)} found")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
