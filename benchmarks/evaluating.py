"""What an evaluation costs beside the model's own time.

python benchmarks/evaluating.py [--rows 1000] [--seconds 1] [--at-once 64]

A server on this machine answers each request after so many seconds; the model's own part is then rows / at_once (rounded
up) times the seconds. Measured are two commands, `finr1 eval` and `finr1 report`, from start to end; on a busy machine look at the processor time.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

_SERVER = """
import asyncio, json, sys
from aiohttp import web

async def answer(request):
    body = await request.json()
    await asyncio.sleep(float(sys.argv[1]))
    gold = body["messages"][-1]["content"].rpartition(" ")[2]
    said = "<think>As asked.</think><answer>" + gold + "</answer>"
    return web.json_response({
        "id": "c", "object": "chat.completion", "created": 0, "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": said}}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18},
    })

async def main():
    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def test_set(rows: int) -> str:
    """A test set as `finr1_jsonl` reads it, each question with its answer at its end."""
    made = ({"id": str(n), "question": f"Say {n + 7}", "gold": str(n + 7), "doc": str(n // 3)} for n in range(rows))
    return "".join(json.dumps(row) + "\n" for row in made)


def measure(folder: Path, port: str, options: argparse.Namespace) -> list[tuple[float, float]]:
    """(wall, processor) seconds of `finr1 eval` and of `finr1 report`."""
    (folder / "mine.jsonl").write_text(test_set(options.rows), encoding="utf-8")
    (folder / "prompt.txt").write_text("Think in <think></think>, answer in <answer></answer>.", encoding="utf-8")
    evaluation = {
        "out": str(folder / "eval"),
        "models": [{"name": "m", "api_url": f"http://127.0.0.1:{port}/v1"}],
        "sets": [
            {
                "benchmark": "finr1_jsonl",
                "path": str(folder),
                "subset": "mine",
                "system_prompt": str(folder / "prompt.txt"),
            }
        ],
        "batch": options.at_once,
    }
    report = {"title": "cost", "out": str(folder / "report"), "evaluations": [str(folder / "eval")]}
    spent = []
    for command, recipe in (("eval", evaluation), ("report", report)):
        (folder / f"{command}.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
        start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [str(Path(sys.executable).with_name("finr1")), command, str(folder / f"{command}.yaml")],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        worked = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        spent.append((time.monotonic() - start, worked))
    return spent


def main() -> None:
    """Measure once and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--at-once", type=int, default=64)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(
            [sys.executable, "-c", _SERVER, str(options.seconds)], stdout=subprocess.PIPE, text=True
        )
        try:
            assert server.stdout is not None
            (evaluated, worked), (reported, worked_on_report) = measure(
                Path(folder), server.stdout.readline().strip(), options
            )
        finally:
            server.terminate()
    best = math.ceil(options.rows / options.at_once) * options.seconds
    print(
        f"{options.rows} rows, {options.at_once} at once, {options.seconds:g} s each: model {best:.1f} s, "
        f"finr1 eval {evaluated:.1f} s ({worked:.1f} s of processor), "
        f"finr1 report {reported:.1f} s ({worked_on_report:.1f} s of processor), "
        f"over the model's own {evaluated + reported - best:.1f} s "
        f"(load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores)"
    )


if __name__ == "__main__":
    main()
