"""Dialogues in which a model is told its own earlier answers: a turn waits for those before it."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import Any

from evalscope.api.benchmark import BenchmarkMeta
from evalscope.api.dataset import Sample
from evalscope.api.evaluator import ModelResult, TaskState
from evalscope.api.model import Model, ModelOutput
from evalscope.config import TaskConfig

from eval_adapters import dialogue
from eval_adapters.base import FinanceBenchmark, chat, whole_completion
from eval_adapters.endpoint import EarlierTurnFailed
from eval_adapters.reviews import json_lines
from eval_adapters.scoring import SERVER_SPOKE
from reward_plugins.errors import Refused


class OwnHistory(FinanceBenchmark):
    """Each turn is a row of its own, asked once those before it are answered.

    Rows are handed out in the order of the file, in which a dialogue's turns stand in theirs: whoever waits, waits for
    a row that is being asked or was, so nothing can stand still. Turns that the set lacks are told with their gold.

    Raises:
        Refused: when it is made, if a dialogue's turns are out of order.
    """

    def __init__(self, benchmark_meta: BenchmarkMeta, task_config: TaskConfig | None = None) -> None:
        super().__init__(benchmark_meta=benchmark_meta, task_config=task_config)
        if task_config is None:
            return
        self._by_id = {row.id: row for rows in self._rows.values() for row in rows[: self.limit or None]}
        self._answers: dict[tuple[str, int], Future[str]] = {}
        asked: set[str] = set()
        for row in self._by_id.values():
            later = [name for name in self._earlier(row.id) if name in self._by_id and name not in asked]
            if later:
                raise Refused(f"{later[0]!r} stands behind {row.id!r} in the file; put a dialogue's turns in order")
            asked.add(row.id)
            self._answers |= {(row.id, repeat): Future() for repeat in range(max(1, self.repeats))}
        if task_config.use_cache:
            self._recall(Path(task_config.use_cache) / "predictions" / str(task_config.model_id))

    def _earlier(self, row_id: str) -> list[str]:
        count = len(dialogue.turn_of(self._by_id[row_id]).earlier)
        return [dialogue.name_of(row_id, place) for place in range(count)]

    def run_inference(self, model: Model, sample: Sample, output_dir: str, **more: Any) -> TaskState:
        """Wait for the earlier turns, tell the model what it said in them, ask."""
        name, repeat = sample.metadata["id"], self.repeat_of(sample.id)
        mine = self._answers[name, repeat]
        try:
            state = super().run_inference(model, sample, output_dir, **more)
        except BaseException:
            mine.set_exception(EarlierTurnFailed())
            raise
        mine.set_result(_said(state.output))
        return state

    def _on_inference(self, model: Model, sample: Sample) -> Any:
        name, repeat = sample.metadata["id"], self.repeat_of(sample.id)
        earlier = self._earlier(name)

        def told(place: int) -> str | None:
            answer = self._answers.get((earlier[place], repeat))
            return answer.result() if answer else None

        row = self._by_id[name]
        sample.input = chat(dialogue.messages(row, told))
        return super()._on_inference(model, sample)

    def _recall(self, folder: Path) -> None:
        """Take over what an earlier run was answered."""
        for subset in self._rows:
            for line in json_lines(folder / f"{self.name}_{subset}.jsonl"):
                prediction = ModelResult.model_validate(line)
                key = line["metadata"]["id"], self.repeat_of(prediction.index)
                if key in self._answers and not self._answers[key].done():
                    self._answers[key].set_result(_said(prediction.model_output))


def _said(output: ModelOutput) -> str:
    """What a model is told that it said; what the server said in its place is not its own."""
    return dialogue.final_words("" if output.stop_reason in SERVER_SPOKE else whole_completion(output))
