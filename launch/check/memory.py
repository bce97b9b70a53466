"""Does the training fit? Model states by DeepSpeed's and accelerate's own estimators, against the card or the memory.

No estimator counts activations, so what they say is the least that a run needs: what does not fit by them never fits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from launch.check import inside
from launch.check.finding import Findings, holds, mistake, unknown
from launch.check.place import Machine

_GIB = 2**30


@dataclass(frozen=True)
class Shape:
    """How a training is spread and what it keeps. `bits` are those of a weight (32, 16, or 8 and 4 if quantised)."""

    zero: int = 0
    offload: bool = False
    offload_params: bool = False
    sharded: bool = False
    """PyTorch's own sharding (FSDP), counted as ZeRO-3 is."""
    ranks: int = 1
    nodes: int = 1
    bits: int = 16
    adapter: bool = False
    """Only an adapter is trained: the weights have neither gradients nor a state of the optimiser."""
    reference: bool = False
    """A second, frozen copy of the weights is held (DPO on all weights, GRPO with beta above 0)."""
    vllm_share: float = 0.0
    """The share of the card that vLLM takes beside the trainer."""
    vllm_parallel: int = 1
    """Cards over which vLLM spreads the weights."""
    cure: str = "deepspeed"
    """The key that asks for less, for the sentence."""

    @property
    def stage(self) -> int:
        """The stage of ZeRO that it is counted as."""
        return 3 if self.sharded else self.zero

    def question(self, model: str) -> dict[str, Any]:
        """What to ask a stack about a model folder that is trained so."""
        return {
            "ask": "memory",
            "model": model,
            "zero": self.stage,
            "offload": self.offload,
            "offload_params": self.offload_params,
            "gpus": max(1, self.ranks // self.nodes),
            "nodes": self.nodes,
            "bits": self.bits,
        }


def fits(stack: str, model: str, shape: Shape, machine: Machine) -> Findings:
    """Whether the model states fit the machine; `model` is a folder with its `config.json`."""
    asked = inside.answers(stack, [shape.question(model)])[0]
    if "does not recognize this architecture" in asked.error or "trust_remote_code" in asked.error:
        yield mistake(
            "model",
            f"model_name_or_path: {model} is of a kind that the stack {stack} does not know; name another model",
        )
        return
    if asked.error:
        yield unknown("memory", f"{model} could not be counted ({asked.error})")
        return
    gpu, cpu = _held(asked.value, shape)
    what = f"{asked.value['params'] / 1e9:.2f}B parameters, {_words(shape)}"
    if not machine.cards:
        # On a CPU all ranks share one memory, and an offloaded state stays in it.
        need = (gpu * max(1, shape.ranks // shape.nodes) + cpu * shape.offload) / _GIB
        if need > machine.memory:
            yield machine.short_of(
                "memory",
                f"model_name_or_path: {what}: at least {need:.1f} GiB on a CPU, and the machine has {machine.memory:.0f}; "
                "take a smaller model, or a GPU",
            )
        else:
            yield holds(
                "memory", f"{what}: at least {need:.1f} of {machine.memory:.0f} GiB of memory, before activations"
            )
        return
    need = gpu / _GIB + shape.vllm_share * machine.card
    parts = f", {shape.vllm_share:.0%} of the card for vLLM among them," if shape.vllm_share else ""
    if not machine.card:
        yield unknown("memory", f"{what}: at least {need:.1f} GiB a card; nvidia-smi does not say what a card has")
    elif need > machine.card:
        yield machine.short_of(
            "memory",
            f"{shape.cure}: {what}: at least {need:.1f} GiB a card{parts} before any activation, and a card has "
            f"{machine.card:.0f}; take more cards, a higher stage of ZeRO with offloading, or an adapter",
        )
    else:
        yield holds("memory", f"{what}: at least {need:.1f} of {machine.card:.0f} GiB a card{parts} before activations")
    if shape.offload and cpu / _GIB > machine.memory:
        yield machine.short_of(
            "memory",
            f"{shape.cure}: offloading takes {cpu / _GIB:.0f} GiB of the machine's memory, and it has "
            f"{machine.memory:.0f}; offload less",
        )
    share = shape.vllm_share * machine.card * shape.vllm_parallel
    if share and asked.value["weights"] / _GIB > share:
        yield machine.short_of(
            "memory",
            f"vllm_gpu_memory_utilization: {shape.vllm_share:g} of a card are {share:.1f} GiB, and the weights alone take "
            f"{asked.value['weights'] / _GIB:.1f}; raise it, or vllm_tensor_parallel_size",
        )


def zero_of(config: Mapping[str, Any]) -> tuple[int, bool, bool]:
    """(stage, optimiser offloaded, weights offloaded) of a DeepSpeed configuration."""
    zero = config.get("zero_optimization") or {}

    def is_offloaded(part: str) -> bool:
        device = (zero.get(part) or {}).get("device", "none")
        return bool(device != "none")

    stage = zero.get("stage", 0)
    offload = is_offloaded("offload_optimizer")
    return (stage if isinstance(stage, int) else 0), offload, is_offloaded("offload_param")


def _held(counted: Mapping[str, int], shape: Shape) -> tuple[float, float]:
    """Bytes on one card, and in the memory of one node."""
    weights = counted["weights"] / (shape.ranks if shape.stage == 3 else 1)
    if shape.adapter:  # an adapter's own states are a thousandth of this
        return weights, 0.0
    return counted["gpu"] + weights * shape.reference, counted["cpu"]


def _words(shape: Shape) -> str:
    spread = "FSDP" if shape.sharded else f"ZeRO-{shape.zero}" if shape.zero else "no sharding"
    offload = " with offloading" if shape.offload else ""
    trained = f"an adapter on {shape.bits} bits" if shape.adapter else f"all trained from {shape.bits} bits"
    return f"{trained}, {spread}{offload} over {shape.ranks} rank{'s' * (shape.ranks > 1)}"
