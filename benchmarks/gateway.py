"""What the gateway costs: answers a second at 64 at once, straight to the server and through HAProxy, in pairs.

python benchmarks/gateway.py [--url http://127.0.0.1:8011/v1 --model NAME] [--pairs 5] [--requests 512] [--tokens 64]

Without --url the server is a stand-in in a process of its own that holds each request for a second and then streams 64
pieces over another: a model's shape without its arithmetic, so the gateway's share shows most. The two ways take turns,
and the one that begins changes from pair to pair; a first, uncounted pair comes before.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import re
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

sys.path.insert(0, str(Path(__file__).parents[1]))

from launch.gateway.measure import free_ports
from launch.gateway.running import gateway
from launch.gateway.settings import GatewaySettings

AT_ONCE = 64
QUESTION = "某公司2023年营业收入为125.6亿元，2022年为108.3亿元，同比增长率是多少？"


def main() -> None:
    """Run the pairs and print every one of them, with the median of their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="a running server, ending in /v1 (default: the stand-in)")
    parser.add_argument("--model", default="stand-in")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--requests", type=int, default=512)
    parser.add_argument("--tokens", type=int, default=64)
    options = parser.parse_args()
    os.environ.setdefault("FINR1_GATEWAY_KEY", "benchmark")
    with ExitStack() as stack:
        url = options.url or f"http://127.0.0.1:{_stand_in(stack)}/v1"
        settings = _recipe(url, stack.enter_context(tempfile.TemporaryDirectory(prefix="gw-")))
        up = stack.enter_context(gateway(settings))
        pairs, used = [], _cpu_s(up.pid)
        for number in range(options.pairs + 1):
            ways = {"alone": url, "gateway": up.url}
            order = list(ways) if number % 2 else list(reversed(ways))
            pair = {way: asyncio.run(_load(ways[way], options)) for way in order}
            print(f"pair {number}: {pair}" + ("" if number else " (not counted)"), file=sys.stderr, flush=True)
            if number:
                pairs.append(pair)
        spent = _cpu_s(up.pid) - used
    ratios = [pair["gateway"]["answers_per_s"] / pair["alone"]["answers_per_s"] for pair in pairs]
    found = {
        "ratio": round(statistics.median(ratios), 4),
        "ratios": [round(ratio, 4) for ratio in ratios],
        "haproxy_cpu_ms_per_answer": round(1000 * spent / (options.requests * (options.pairs + 1)), 2),
        "load_average": round(os.getloadavg()[0], 1),
    }
    print(json.dumps({**found, "at_once": AT_ONCE, "server": options.model, "pairs": pairs}, indent=1))


def _cpu_s(master: int) -> float:
    """Processor seconds that HAProxy's worker has used so far; other programs' load does not change them much."""
    (worker,) = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    fields = Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _load(url: str, options: argparse.Namespace) -> dict[str, float]:
    """All requests, streamed, from 64 clients that keep their connections; raises where one is not answered."""
    left, first_bytes = iter(range(options.requests)), []
    body = {"model": options.model, "stream": True, "max_tokens": options.tokens, "temperature": 0}
    headers = {"Authorization": f"Bearer {os.environ['FINR1_GATEWAY_KEY']}"}

    async def client(session: aiohttp.ClientSession) -> None:
        for number in left:
            asked = {**body, "user": f"user-{number % AT_ONCE}", "messages": [{"role": "user", "content": QUESTION}]}
            begun = time.perf_counter()
            async with session.post(f"{url}/chat/completions", json=asked) as answer:
                answer.raise_for_status()
                await answer.content.readline()
                first_bytes.append(time.perf_counter() - begun)
                if not re.search(rb'"finish_reason": ?"', await answer.read()):
                    raise SystemExit(f"an answer from {url} broke off")

    limit = aiohttp.ClientTimeout(total=600)
    async with aiohttp.ClientSession(
        headers=headers, connector=aiohttp.TCPConnector(limit=0), timeout=limit
    ) as session:
        begun = time.perf_counter()
        await asyncio.gather(*(client(session) for _ in range(AT_ONCE)))
        seconds = time.perf_counter() - begun
    return {
        "answers_per_s": round(options.requests / seconds, 3),
        "first_byte_s": round(statistics.median(first_bytes), 4),
    }


def _recipe(url: str, data: str) -> GatewaySettings:
    """Two versions, both the one server, and a general model, so that the rule is asked."""
    port, metrics_port = free_ports()
    versions = {name: {"url": url, "weight": 50} for name in ("v1", "v2")}
    keys: dict[str, Any] = {"versions": versions, "general": {"url": url}, "port": port, "metrics_port": metrics_port}
    return GatewaySettings.model_validate({**keys, "data": data})


def _stand_in(stack: ExitStack) -> int:
    """Start the stand-in and return its port."""
    port, _ = free_ports()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(port,), daemon=True)
    process.start()
    stack.callback(process.terminate)
    time.sleep(3)  # its imports; the uncounted pair comes before the counted ones
    return port


def _serve(port: int) -> None:
    app = web.Application()
    app.router.add_post("/v1/chat/completions", _chat)
    app.router.add_get("/health", _healthy)
    web.run_app(app, host="127.0.0.1", port=port, print=None, access_log=None)


async def _healthy(_: web.Request) -> web.Response:
    return web.json_response({})


async def _chat(request: web.Request) -> web.StreamResponse:
    tokens = (await request.json())["max_tokens"]
    stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await asyncio.sleep(1.0)
    await stream.prepare(request)
    for number in range(tokens):
        await stream.write(f'data: {{"choices":[{{"index":0,"delta":{{"content":"{number} "}}}}]}}\n\n'.encode())
        await asyncio.sleep(1.0 / tokens)
    await stream.write(b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n')
    return stream


if __name__ == "__main__":
    main()
