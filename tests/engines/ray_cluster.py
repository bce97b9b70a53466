"""A Ray cluster of two machines with one processor each, on this machine's loopback address, until standard input ends.

Prints its address. Runs in the stack `ray`.
"""

from __future__ import annotations

import sys

from ray.cluster_utils import Cluster

_STORE = 100_000_000  # bytes a machine; Ray takes no less than 75 MiB

if __name__ == "__main__":
    machine = {"num_cpus": 1, "object_store_memory": _STORE, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args={**machine, "node_ip_address": "127.0.0.1"})
    cluster.add_node(num_cpus=1, object_store_memory=_STORE)
    print(cluster.address, flush=True)
    sys.stdin.read()
    cluster.shutdown()
