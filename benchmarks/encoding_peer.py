"""clkhash in the peers' environment: makes its test population, times itself. Started by encoding_speed."""

import hashlib
import io
import json
import random
import sys
import time
from pathlib import Path

from clkhash import clk
from clkhash.randomnames import NameList
from clkhash.schema import from_json_dict


def make(path: str, count: int) -> None:
    random.seed(20261122)
    names = NameList(count)
    with Path(path).open("w") as stream:
        stream.write(",".join(field.identifier for field in names.SCHEMA.fields) + "\n")
        for person in names.names:
            stream.write(",".join(map(str, person)) + "\n")


def measure(path: str, schema: dict, rows: int) -> dict:
    with Path(path).open() as stream:
        text = "".join(line for _, line in zip(range(rows + 1), stream, strict=False))
    start = time.process_time()
    made = clk.generate_clk_from_csv(
        io.StringIO(text), "horse", from_json_dict(schema), progress_bar=False, max_workers=1
    )
    seconds = time.process_time() - start
    digest = hashlib.sha256(b"".join(one.tobytes() for one in made)).hexdigest()
    return {"rate": len(made) / seconds, "digest": digest}


for line in sys.stdin:
    request = json.loads(line)
    if request["do"] == "make":
        make(request["path"], request["count"])
        answer = {}
    else:
        answer = measure(request["path"], request["schema"], request["rows"])
    print(json.dumps(answer), flush=True)
