"""The server's memory does not grow with the batch that goes up and is checked; how much it is, is measured
by `python -m benchmarks.upload_memory`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.upload_memory import measure

FEW, MANY = 4_000, 40_000


def test_a_batch_ten_times_as_large_takes_hardly_more_memory(tmp_path: Path) -> None:
    small, large = measure(FEW, tmp_path / "small"), measure(MANY, tmp_path / "large")
    more = (large.size - small.size) / 1e6
    assert more > 40
    for phase in ("upload", "completion"):
        # A batch that was held whole would show whole; what the allocator keeps is noise beside that.
        assert large.most[phase] - small.most[phase] < 0.8 * more, (phase, small.most, large.most)


def test_a_server_that_makes_arrays_does_not_load_pandas_and_whoever_wants_it_gets_it() -> None:
    code = (
        "import sys, pyarrow as pa\n"
        "from app import memory\n"
        "memory.stay_small()\n"
        "pa.array(['a']).to_numpy(zero_copy_only=False)\n"
        "print('pandas' in sys.modules)\n"
        "import pandas\n"
        "print(len(pandas.Series([1])), pa.default_memory_pool().backend_name)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "1", "system"]
