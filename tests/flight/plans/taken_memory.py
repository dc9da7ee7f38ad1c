"""What an engine takes for large inputs, beside what small ones promise.

    python taken_memory.py PACKAGE ENGINE STREAMS SIDE

A process of its own, for what others have freed would be taken again unseen.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial

from satsqueeze.flight.opening import open_package
from satsqueeze.flight.plans.memory import blank, forget_peak, measure, peak_bytes, resident_bytes


def main(package: str, engine: str, streams: int, side: int) -> None:
    model = open_package(package, precision="int8", engine=engine, threads=2, streams=streams)
    found = measure(model.engine, model.manifest, probabilities=False)
    batch = blank(len(model.bands), side)
    before = resident_bytes()
    forgotten = forget_peak()
    model.engine.fit(batch.shape, probabilities=False)
    with ThreadPoolExecutor(streams) as calls:
        list(calls.map(partial(model.engine.run, probabilities=False), [batch] * streams))
    print(json.dumps({**asdict(found), "forgotten": forgotten, "taken": peak_bytes() - before}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
