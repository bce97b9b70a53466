"""EvalScope's own command with the kit's benchmarks registered: `python -m eval_adapters eval ...`.

    python -m eval_adapters eval --model my-model --api-url http://127.0.0.1:8000/v1 --datasets finr1_finmath \
      --dataset-args '{"finr1_finmath": {"local_path": "datasets/quickstart/test"}}' --generation-config max_tokens=512

`finr1 eval` does the same from a recipe, resumes, and counts failures; this is for EvalScope's other commands: `perf`
(load and latency of an endpoint), `app` (its dashboard, here on this machine alone), `benchmark-info NAME`.
"""

from __future__ import annotations

import sys

from eval_adapters import register
from reward_plugins.errors import Refused

# At import, not in main(): `service` starts each job in a spawned child, which imports this module and no more.
register()


def main() -> int:
    """Run EvalScope's command line; the exit code is 2 for input that can be mended."""
    from evalscope.cli.cli import run_cmd

    if "benchmark-info" in sys.argv and any(word.startswith("--update") for word in sys.argv):
        print("benchmark-info --update rewrites files inside EvalScope's package; not from here", file=sys.stderr)
        return 2
    if sys.argv[1:2] in (["app"], ["service"]) and "--host" not in sys.argv:
        sys.argv += ["--host", "127.0.0.1"]  # by default it listens to everyone, and whoever comes may start jobs
    try:
        run_cmd()
    except Refused as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
