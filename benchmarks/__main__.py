"""``python -m benchmarks [NAME ...]``: run all benchmarks, or those named; each writes its section."""

from __future__ import annotations

import argparse
import importlib

#: Modules of this package with a ``run()``, in the order of the report.
BENCHMARKS = (
    "encoding_speed",
    "kernels",
    "kernel_tiles",
    "assignment",
    "linkage_candidates",
    "linkage_quality",
    "linkage_bias",
    "linkage_scale",
    "linkage_end_to_end",
    "linkage_increment",
    "tabulation",
    "disclosure",
    "disclosure_beside",
    "log",
    "load",
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", nargs="*", choices=[*BENCHMARKS, []], help="default: all")
    chosen = parser.parse_args().name or BENCHMARKS
    for name in chosen:
        print(f"== {name}", flush=True)
        importlib.import_module(f"benchmarks.{name}").run()


if __name__ == "__main__":
    main()
