"""Run the benchmarks: `python tests/benchmarks/run.py [--only NAME]... [--list]`.

A benchmark is a file bench_NAME.py beside this one with a function `run(context) -> dict[str, float]` (see
harness.Context). Its figures are merged into .build/bench.json, a flat map from key to number. The commit, date and
machine of each figure are in .build/bench.meta.json. One that fails does not stop the others; the exit code tells.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import json
import math
import numbers
import os
import pathlib
import sys
import time
import traceback
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent
if __name__ == "__main__":
    # The product and the lab are imported as the tests import them.
    sys.path[:0] = [str(ROOT / "collections"), str(ROOT)]

from tests.benchmarks import harness  # noqa: E402


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for, write the figures, print them."""
    options = parse(arguments)
    found = discover(HERE)
    unknown = [name for name in options.only if name not in found]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are: {', '.join(found) or 'none'}", file=sys.stderr)
        return 64
    if options.list:
        print("\n".join(found))
        return 0
    figures, failed = run_all({name: found[name] for name in options.only or found})
    if figures:
        print()
        harness.print_table(["figure", "value"], sorted(figures.items()))
    if failed:
        print(f"\nfailed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def run_all(benchmarks: dict[str, pathlib.Path]) -> tuple[dict[str, float], list[str]]:
    """Run each benchmark and save its figures at once; returns all figures and the names of those that failed."""
    figures, failed = {}, []
    for name, path in benchmarks.items():
        print(f"\n=== {name}: {summary(path)}", flush=True)
        started = time.monotonic()
        try:
            with harness.Context(ROOT, name) as context:
                measured = checked(load(path).run(context))
        except Exception:  # noqa: BLE001 - one benchmark's failure is reported, and the others still run
            traceback.print_exc()
            failed.append(name)
            continue
        save(measured, name, ROOT / ".build")
        figures |= measured
        print(f"--- {name} took {time.monotonic() - started:.1f} s", flush=True)
    return figures, failed


def discover(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """The benchmarks of a folder by name, in alphabetical order."""
    return {path.stem.removeprefix("bench_"): path for path in sorted(folder.glob("bench_*.py"))}


def save(figures: dict[str, float], benchmark: str, folder: pathlib.Path) -> None:
    """Merge figures into bench.json and their origin into bench.meta.json; each file is replaced whole."""
    origin = {"benchmark": benchmark, **harness.origin(ROOT)}
    merge(folder / "bench.json", figures)
    merge(folder / "bench.meta.json", dict.fromkeys(figures, origin))


def checked(figures: Any) -> dict[str, float]:
    """The figures, or a TypeError where something is not a finite number under a plain key."""
    if not isinstance(figures, dict) or not figures:
        raise TypeError("run() returned no figures: return a dictionary from key to number")
    for key, value in figures.items():
        number = isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
        if not isinstance(key, str) or not number:
            raise TypeError(f"{key!r}: {value!r} is no figure: keys are strings and values finite numbers")
    return {key: value if isinstance(value, int) else round(float(value), 6) for key, value in figures.items()}


def merge(path: pathlib.Path, entries: dict[str, Any]) -> None:
    known = json.loads(path.read_text()) if path.exists() else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(known | entries, indent=2, sort_keys=True) + "\n")
    part.replace(path)


def load(path: pathlib.Path) -> Any:
    """The module of a benchmark file."""
    spec = importlib.util.spec_from_file_location(f"tests.benchmarks.{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def summary(path: pathlib.Path) -> str:
    """The first line of a file's docstring, without running the file."""
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n", 1)[0]


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run the benchmarks and keep their figures in .build/bench.json.")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="run this one (may be repeated)")
    parser.add_argument("--list", action="store_true", help="list the benchmarks")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
