"""How fast the stage `distill` asks, what it needs for it, and how soon a stopped run goes on.

    python benchmarks/distilling.py [--questions 100000] [--resume 1000000] [--turns 5] [--out FILE]

Asking: an endpoint in a process of its own answers after 50 ms; 256 requests at once are sent by a bare loop over the
same HTTP library, then by the stage, in turns. The endpoint has one core for itself and whoever asks it another one,
where there are two: a scheduler that puts both on one core slows down either, at random. 256
requests of 50 ms each are 5,120 a second at most, so a client that takes less than 195 µs of its core for each is bound
by the endpoint, and one that takes more by its core. Resuming: a journal in which all questions have an answer is read
against them. Exits with 1 where the stage is below 90% of the bare loop (the median of the pairs), above 500 MiB, or
resumes in more than 10 s a million questions.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import aiohttp

sys.path.insert(0, str(Path(__file__).parents[1]))  # the package `launch`, before launch.py beside this file

from distill import ask
from distill.plan import Plan, Request, Survey
from distill.records import Question, Usage, write_records
from distill.reply import Reply
from distill.teachers import Prices, Teacher
from launch.paths import KIT
from launch.record import machine

DELAY_S = 0.05
AT_ONCE = 256
LEAST_SHARE, MOST_MIB, MOST_RESUME_S = 0.9, 500, 10.0

THOUGHT = "The net margin is the profit over the revenue, 12 / 300 = 0.04, and that is four in a hundred. " * 8
COMPLETION = json.dumps(
    {
        "choices": [{"finish_reason": "stop", "message": {"content": f"<think>{THOUGHT}</think><answer>4%</answer>"}}],
        "usage": {"prompt_tokens": 60, "completion_tokens": 200},
    }
).encode()
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(COMPLETION) + COMPLETION
)


class Endpoint(asyncio.Protocol):
    """As little of an HTTP server as keeps a connection alive and answers after a while."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._data = transport, b""

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, ended, body = self._data.partition(b"\r\n\r\n")
        if ended and len(body) >= int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]):
            self._data = b""
            asyncio.get_running_loop().call_later(DELAY_S, self._transport.write, ANSWER)


def keep_to_core(number: int) -> None:
    """Run this process on one of the cores it may have, counted from the end, where there are two."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(0, {cores[-1 - number]})


def serve(port: Connection) -> None:
    """Answer until killed; sends the port first."""
    keep_to_core(0)

    async def forever() -> None:
        server = await asyncio.get_running_loop().create_server(Endpoint, "127.0.0.1", 0)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(forever())


@contextmanager
def endpoint() -> Iterator[str]:
    """The address of an endpoint in a process of its own."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    theirs.close()  # so that a process that dies is an error here, and no wait without end
    try:
        yield f"http://127.0.0.1:{ours.recv()}/v1"
    finally:
        process.kill()
        process.join()


def question(number: int) -> Question:
    """A question with a page of a few hundred characters."""
    return Question(
        id=f"q-{number}",
        source="made",
        split="train",
        lang="en",
        task="reporting",
        question=f"Question {number}: revenue 300, profit 12; what is the net margin?",
        context="| year | revenue | profit |\n|---|---|---|\n| 2025 | 300 | 12 |\n" * 4,
        gold="4%",
        answer_type="percent",
        unit="%",
        licence="Apache-2.0",
        meta={"doc": f"page-{number}"},
    )


def settings(folder: Path, count: int, url: str) -> ask.Settings:
    """A run over `count` questions, with prices and a cap, since both cost time."""
    prices = Prices(currency="USD", prompt=1, completion=1)
    teacher = Teacher(name="t", base_url=url, model="m", max_tokens=512, concurrency=AT_ONCE, prices=prices)
    path = folder / f"questions-{count}.jsonl"
    if not path.exists():
        write_records(path, map(question, range(count)))
    return ask.Settings(questions=path, out=folder / "traces.jsonl", teachers=[teacher], cost_cap={"USD": 1e6})


def bare(url: str, count: int, folder: Path) -> dict[str, float]:
    """The same by the shortest loop that does it: read a question, send it, decode what comes, keep nothing."""
    path = settings(folder, count, url).questions
    keep_to_core(1)

    async def work(session: aiohttp.ClientSession, lines: Iterator[bytes]) -> None:
        for line in lines:
            row = json.loads(line)
            prompt = f"{row['context']}\n\nQuestion: {row['question']}"
            body = {"model": "m", "max_tokens": 512, "messages": [{"role": "user", "content": prompt}]}
            async with session.post(url + "/chat/completions", data=json.dumps(body).encode()) as response:
                json.loads(await response.read())["choices"][0]["message"]["content"]

    async def everything() -> None:
        with path.open("rb") as lines:
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
                await asyncio.gather(*(work(session, lines) for _ in range(AT_ONCE)))

    started = time.monotonic()
    asyncio.run(everything())
    return {"per_s": count / (time.monotonic() - started), "cpu_us": cpu_us(count)}


def stage(url: str, count: int, folder: Path) -> dict[str, float]:
    """Requests a second and peak memory of the stage, all of it: reading, asking, journal, ledger, manifest."""
    run = settings(folder, count, url)
    keep_to_core(1)
    started = time.monotonic()
    counts = ask.run(run)["teachers"]["t"]
    took = time.monotonic() - started
    assert counts["answered"] == count
    return {"per_s": count / took, "cpu_us": cpu_us(count), "peak_mib": peak_mib()}


def resume(count: int, folder: Path) -> dict[str, float]:
    """Seconds in which a finished run finds that nothing is missing."""
    run = settings(folder, count, "http://127.0.0.1:9/v1")
    reply = Reply(THOUGHT, "4%", f"<think>{THOUGHT}</think><answer>4%</answer>", "stop", Usage(completion_tokens=200))
    with ask.opened(run) as (journal, _):
        plan = Plan(run.teachers[0], journal)
    with run.out.open("wb") as out:
        for asked in map(question, range(count)):
            prompt = plan.prompt(asked)
            request = Request(plan.request_ids(asked, prompt)[0], asked, 0, prompt, plan.teacher)
            out.write(request.trace(reply).model_dump_json().encode() + b"\n")
    started, used = time.monotonic(), time.process_time()
    with ask.opened(run) as (journal, _):
        survey: Survey = ask.surveyed(run, journal, ())
    took, used = time.monotonic() - started, time.process_time() - used
    assert survey.plans[0].answered == count and not survey.plans[0].left
    return {"seconds": took, "cpu_seconds": used, "peak_mib": peak_mib()}


def cpu_us(count: int) -> float:
    """Microseconds of processor time that each of `count` requests has cost this process, its start included."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return (used.ru_utime + used.ru_stime) / count * 1e6


def peak_mib() -> float:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def apart(work: Callable[..., dict[str, float]], *arguments: Any) -> dict[str, float]:
    """Do it in a process of its own, so that its memory is its own."""
    with multiprocessing.Pool(1) as pool:
        return pool.apply(work, arguments)


def main() -> None:
    """Measure, write the JSON, print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=100_000)
    parser.add_argument("--resume", type=int, default=1_000_000)
    parser.add_argument("--turns", type=int, default=5, help="of both; the median evens out what else the machine does")
    parser.add_argument("--out", type=Path, default=KIT / "benchmarks" / "results" / "distilling.json")
    options = parser.parse_args()
    multiprocessing.set_start_method("spawn")
    bares, stages = [], []
    with endpoint() as url:
        for _ in range(options.turns):
            with tempfile.TemporaryDirectory() as scratch:
                settings(Path(scratch), options.questions, url)  # writes the questions
                bares.append(apart(bare, url, options.questions, Path(scratch)))
                stages.append(apart(stage, url, options.questions, Path(scratch)))
    with tempfile.TemporaryDirectory() as scratch:
        resumed = apart(resume, options.resume, Path(scratch))
    shares = [ours["per_s"] / theirs["per_s"] for ours, theirs in zip(stages, bares, strict=True)]
    more = [ours["cpu_us"] - theirs["cpu_us"] for ours, theirs in zip(stages, bares, strict=True)]
    result: dict[str, Any] = {
        "command": f"python benchmarks/distilling.py --questions {options.questions} --resume {options.resume}"
        f" --turns {options.turns}",
        "machine": {**machine(), "load": [round(load, 1) for load in os.getloadavg()]},
        "asking": {
            "questions": options.questions,
            "at_once": AT_ONCE,
            "bare_per_s": [round(each["per_s"]) for each in bares],
            "stage_per_s": [round(each["per_s"]) for each in stages],
            "bare_cpu_us": [round(each["cpu_us"]) for each in bares],
            "stage_cpu_us": [round(each["cpu_us"]) for each in stages],
            "share_of_bare": round(statistics.median(shares), 3),
            "shares": [round(share, 3) for share in shares],
            "more_cpu_us": round(statistics.median(more), 1),
            "peak_mib": round(max(each["peak_mib"] for each in stages), 1),
        },
        "resuming": {"questions": options.resume, **{name: round(value, 2) for name, value in resumed.items()}},
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))
    slow = resumed["seconds"] / options.resume * 1_000_000 > MOST_RESUME_S
    if statistics.median(shares) < LEAST_SHARE or result["asking"]["peak_mib"] > MOST_MIB or slow:
        sys.exit("below what the kit promises")


if __name__ == "__main__":
    main()
