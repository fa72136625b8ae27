"""Whether screening tells another secret where agencies have nobody in common, and a forged check value.

``python -m benchmarks.attacks.another_secret``
"""

from __future__ import annotations

import numpy as np

from benchmarks.attacks.encodings import secret
from benchmarks.attacks.populations import Population, demo
from benchmarks.results import table, versions, write_section
from crypto.encoding.encode import encode_table
from crypto.encoding.keys import Keys
from crypto.encoding.profile import default_profile
from crypto.encoding.screening import Sample, Screening, same_key

#: Records of each file, and how often they are drawn.
_SIZES = ((2_500, 5), (5_000, 3), (10_000, 2))
_PROFILE = default_profile("record-hardened")
_SPEC = _PROFILE.link_spec()


def screened(people: Population, key: int) -> Sample:
    """What the service compares of a file."""
    screening = Screening()
    screening.add(encode_table(people.table, _PROFILE, Keys(secret(key), _PROFILE)))
    return screening.sample()


def common_keys(one: Sample, other: Sample) -> int:
    """Composite keys that both have."""
    names = [item.name for item in _SPEC.filters if item.similarity == "key"]
    return sum(len(np.intersect1d(one.starts[name], other.starts[name])) for name in names)


def compared(persons: int, times: int) -> list[list[str]]:
    """Rows of the report: strangers of one state, and of two."""
    rows = []
    for where, kentucky in (("Ohio and Ohio", 0.0), ("Ohio and Kentucky", 1.0)):
        said: dict[int, list[str]] = {1: [], 2: []}
        common = []
        for seed in range(times):
            first = screened(demo(persons, 10 + seed, 0.0), 1)
            strangers = demo(persons, 20 + seed, kentucky)
            for key, verdicts in said.items():
                other = screened(strangers, key)
                verdicts.append(same_key(first, other, _SPEC))
                common += [common_keys(first, other)] if key == 1 else []
        told = [", ".join(f"{v.count(each)} {each}" for each in sorted(set(v))) for v in said.values()]
        row = [f"{persons:,} of {where}", ", ".join(map(str, common)), *told]
        print("  ", *row, sep=" | ", flush=True)
        rows.append(row)
    return rows


def run() -> None:
    """Write the section."""
    rows = [row for size, times in _SIZES for row in compared(size, times)]
    text = f"""Two agencies' files of whole households without a person in common, `record-hardened`, drawn
anew several times, compared as on arrival. Under one secret some are namesakes or share a birthday and the
first letters of a name; under two secrets no composite key is common. `another` is refused whatever the key
check value says, `strangers` is reported to agency and auditor.

{table(["records each", "keys in common, one secret", "said under one secret", "said under two"], rows)}"""
    write_section(
        "Another secret, told on arrival",
        text,
        command="python -m benchmarks.attacks.another_secret",
        software=versions(["numpy", "pyarrow", "cryptography"]),
    )


if __name__ == "__main__":
    run()
