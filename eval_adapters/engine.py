"""One EvalScope run, kept quiet: its log goes to its work directory, its bars nowhere."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import types
from collections.abc import Callable, Iterator
from pathlib import Path

from eval_adapters import register
from eval_adapters.catalogue import of
from eval_adapters.settings import EvalSettings, RequestForm, SetSpec

PATIENCE = 20
"""Rows that may fail one after another before the rest is left for a later run: enough for a server that restarts,
few enough that a dead one costs minutes and not hours."""

READY = 4
"""Threads for each request at a time. EvalScope hands out new rows only once a second, so without some that stand
ready a server that answers sooner would wait for work: 1,000 rows of 1 s, 64 at once, took 28 s and now take 17."""

RETRY_WAIT_S = 2
"""Seconds between the attempts for one row (EvalScope takes whole seconds, the same each time)."""


def evaluate(
    settings: EvalSettings,
    test_set: SetSpec,
    model_name: str,
    model_id: str,
    api_url: str,
    api_key: str,
    form: RequestForm | None,
    work_dir: Path,
    review_again: bool,
    on_reply: Callable[[], None],
) -> None:
    """Ask and score whatever `work_dir` does not hold yet; `review_again` scores stored completions anew.

    `form` is that of an endpoint that does not speak OpenAI's protocol, None for one that does.
    `on_reply` is called once for each row that was asked, from worker threads. Failed rows are no exception: EvalScope
    leaves them out of its files.
    """
    with _without_datasets():
        register()
        from evalscope import TaskConfig, run_task

        from eval_adapters.endpoint import Endpoint, OpenAIEndpoint
        from eval_adapters.gate import Gate
        from eval_adapters.requests_endpoint import RequestsEndpoint

    sampling = settings.generation.model_dump(exclude_none=True)
    if "stop" in sampling:
        sampling["stop_seqs"] = sampling.pop("stop")
    name = of(test_set.benchmark).name
    extra = test_set.model_dump(mode="json", include={"system_prompt", "few_shot", "columns"}, exclude_none=True)
    gate = Gate(settings.batch, PATIENCE + settings.batch, on_reply)
    endpoint: Endpoint
    if form is None:
        endpoint = OpenAIEndpoint(model_id, api_url, api_key, gate, settings.timeout_s)
    else:
        endpoint = RequestsEndpoint(model_id, api_url, api_key, gate, settings.timeout_s, form)
    task = TaskConfig(
        model=endpoint,
        model_id=model_name,
        eval_type="openai_api",
        datasets=[name],
        dataset_args={
            name: {"local_path": str(test_set.path), "subset_list": [test_set.subset], "extra_params": extra}
        },
        limit=test_set.limit,
        repeats=settings.repeats,
        generation_config={
            **sampling,
            "timeout": settings.timeout_s,
            "retries": settings.attempts,
            "retry_interval": RETRY_WAIT_S,
        },
        eval_batch_size=READY * settings.batch,
        seed=settings.seed,
        ignore_errors=True,
        work_dir=str(work_dir),
        no_timestamp=True,
        # Without a stored configuration there is nothing to resume, and EvalScope refuses to.
        use_cache=str(work_dir) if (work_dir / "configs" / "task_config.yaml").is_file() else None,
        rerun_review=review_again,
    )
    with contextlib.closing(endpoint), _quiet(), _without_charts(), _on_interrupt(gate.stop):
        run_task(task)


@contextlib.contextmanager
def _without_datasets() -> Iterator[None]:
    """Import EvalScope without the library `datasets`, which takes a second of the three that the import takes.

    EvalScope wants one name of it, for a type check in a function that writes Parquet; our benchmarks never come there.
    Under `python -m eval_adapters`, where EvalScope's own benchmarks may run, the library is imported as ever.
    """
    if "evalscope" in sys.modules or "datasets" in sys.modules:
        yield
        return
    stand_in = types.ModuleType("datasets")
    stand_in.Dataset = type("Dataset", (), {})  # type: ignore[attr-defined]
    sys.modules["datasets"] = stand_in
    try:
        yield
    finally:
        del sys.modules["datasets"]


@contextlib.contextmanager
def _without_charts() -> Iterator[None]:
    """Leave out EvalScope's own page of charts: two seconds of work on what `finr1 report` shows.

    There is no option for it. `evalscope.report` imports the page's maker (and plotly with it) when the name is first
    looked up, so a name that stands there already spares that, too; it is taken away afterwards.
    """
    from evalscope import report

    made_by_name = "gen_html_report_file"
    before = vars(report).get(made_by_name)
    setattr(report, made_by_name, lambda folder: f"{folder}: left to finr1 report")
    try:
        yield
    finally:
        delattr(report, made_by_name) if before is None else setattr(report, made_by_name, before)


@contextlib.contextmanager
def _on_interrupt(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` on Ctrl-C and SIGTERM before the run is left: EvalScope first waits for all rows that it handed out."""
    if threading.current_thread() is not threading.main_thread():  # only there can a signal be handled
        yield
        return
    # What leaves the process at once, as SIGTERM does by default, needs no help.
    before = {each: handler for each in (signal.SIGINT, signal.SIGTERM) if callable(handler := signal.getsignal(each))}

    def handle(number: int, frame: types.FrameType | None) -> None:
        stop()
        before[signal.Signals(number)](number, frame)

    for each in before:
        signal.signal(each, handle)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep EvalScope's console lines and bars to itself; its log file has them all."""
    consoles = [h for h in logging.getLogger("evalscope").handlers if not isinstance(h, logging.FileHandler)]

    def drop(record: logging.LogRecord) -> bool:
        return False

    for handler in consoles:  # by a filter, since EvalScope sets the level anew at the start of a task
        handler.addFilter(drop)
    try:
        with (
            Path(os.devnull).open("w") as nowhere,
            contextlib.redirect_stderr(nowhere),
            contextlib.redirect_stdout(nowhere),
        ):
            yield
    finally:
        for handler in consoles:
            handler.removeFilter(drop)
