"""clkhash itself, in its own environment: JSON lines in, CLKs (or the kind of refusal) out. No test."""

import json
import sys

from clkhash.clk import generate_clks
from clkhash.schema import from_json_dict

for line in sys.stdin:
    case = json.loads(line)
    try:
        schema = from_json_dict(case["schema"])
        clks = generate_clks(case["rows"], schema, case["secret"], max_workers=1)
        answer = {"clks": [clk.tobytes().hex() for clk in clks]}
    except Exception as error:  # noqa: BLE001 - the kind of refusal is the answer
        answer = {"error": type(error).__name__}
    print(json.dumps(answer), flush=True)
