"""Sends 2,000 rows through a Ray cluster, and a bad one; prints what came of it as JSON. Runs in the stack `ray`."""

from __future__ import annotations

import json
import sys
import time

import ray

from distill.on_ray import Ray
from reward_plugins.errors import Refused


def on_which_machine(bad: int, rows: list[int]) -> list[tuple[int, str]]:
    """Each row with the machine that had it; the first rows take longest, so that order is not given for nothing."""
    if bad in rows:
        raise Refused(f"row {bad} is bad")
    time.sleep(2 - rows[0] / 1000)
    return [(row, ray.get_runtime_context().get_node_id()) for row in rows]


if __name__ == "__main__":
    with Ray(sys.argv[1]) as cluster:
        found = list(cluster.map(on_which_machine, -1, range(2000), 2000))
        try:
            refused = str(list(cluster.map(on_which_machine, 700, range(2000), 2000)))
        except Refused as error:
            refused = str(error)
    machines = len({machine for _, machine in found})
    print(
        json.dumps({"in_order": [row for row, _ in found] == [*range(2000)], "machines": machines, "refused": refused})
    )
