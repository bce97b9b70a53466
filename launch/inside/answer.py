"""sft or rl stack: what `finr1 check` asks of an engine, several questions in one start (importing takes the time).

Usage: answer.py sft|rl < questions.json. A question is an object with the key `ask`; the answer is a list of
{"value": ...} or {"error": "..."} in the same order. No model is loaded, nothing is fetched.
"""

import dataclasses
import enum
import json
import sys
import types
import typing
from typing import Any

STACK = sys.argv[1]
Turns = list[dict[str, str]]


def keys() -> dict[str, Any]:
    """The keys of the engine's recipe: {name: {"kinds": [...], "choices": [...] or null}}.

    Kinds are "bool", "int", "float", "str", "list", "dict", "null" and "any".
    """
    if STACK == "sft":
        from llamafactory.hparams.parser import _TRAIN_ARGS as parts
    else:
        from trl import GRPOConfig, ModelConfig, ScriptArguments

        parts = (ScriptArguments, GRPOConfig, ModelConfig)
    found: dict[str, Any] = {}
    for part in parts:
        hints = typing.get_type_hints(part)
        for field in dataclasses.fields(part):
            kinds: set[str] = set()
            choices: list[Any] = []
            _kinds(hints[field.name], kinds, choices)
            if field.default is None:
                kinds.add("null")
            found[field.name] = {"kinds": sorted(kinds), "choices": choices or None}
    return found


def _kinds(hint: Any, kinds: set[str], choices: list[Any]) -> None:
    plain = {bool: "bool", int: "int", float: "float", str: "str", type(None): "null"}
    origin = typing.get_origin(hint)
    if hint in plain:
        kinds.add(plain[hint])
    elif origin in (typing.Union, types.UnionType):
        for member in typing.get_args(hint):
            _kinds(member, kinds, choices)
    elif origin is typing.Literal:
        choices += typing.get_args(hint)
        kinds |= {plain[type(each)] for each in typing.get_args(hint)}
    elif isinstance(hint, type) and issubclass(hint, enum.Enum):
        choices += [each.value for each in hint]
        kinds.add("str")
    elif (origin or hint) in (list, tuple, set):
        kinds.add("list")
    elif (origin or hint) is dict:
        kinds.add("dict")
    else:
        kinds.add("any")


def templates() -> list[str]:
    """sft stack: the names of LLaMA-Factory's templates."""
    from llamafactory.data.template import TEMPLATES

    return sorted(TEMPLATES)


def deepspeed_keys() -> list[str]:
    """The keys of `zero_optimization` in a DeepSpeed configuration."""
    from deepspeed.runtime.zero.config import DeepSpeedZeroConfig

    fields = DeepSpeedZeroConfig.model_fields
    return sorted({name for key, field in fields.items() for name in (key, field.alias) if name})


def accelerate_keys() -> dict[str, list[str]]:
    """The keys of an accelerate configuration file, and of the mappings in it: {"": [...], "deepspeed_config": [...], ...}.

    A mapping's keys become options of `accelerate launch`, with the mapping's name before those that lack it.
    """
    from accelerate.commands.config.config_args import ClusterConfig
    from accelerate.commands.launch import launch_command_parser

    known = {"": sorted(field.name for field in dataclasses.fields(ClusterConfig))}
    options = {action.dest for action in launch_command_parser()._actions}
    for name in known[""]:
        if name.endswith("_config"):
            prefix = f"{name.removesuffix('_config')}_"
            short = {key.removeprefix(prefix) for key in options if key.startswith(prefix)}
            known[name] = sorted(options | short if name in ("fsdp_config", "fp8_config", "dynamo_config") else options)
    return known


def learned(model: str, template: str, talks: list[Turns], system: str | None = None) -> list[dict[str, Any]]:
    """sft stack: conversations as LLaMA-Factory's template makes them: [{prompt_ids, response_ids}].

    A conversation is a list of {role, content}; `system` is what those get that begin with no system prompt
    (`default_system`), None for the template's own.
    """
    from llamafactory.data.template import get_template_and_fix_tokenizer
    from llamafactory.hparams import DataArguments
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    chosen = get_template_and_fix_tokenizer(tokenizer, DataArguments(template=template, default_system=system))
    answers = []
    for turns in talks:
        given = turns[0]["content"] if turns[0]["role"] == "system" else None
        prompt, response = chosen.encode_oneturn(tokenizer, turns[1:] if given is not None else turns, given)
        answers.append({"prompt_ids": prompt, "response_ids": response})
    return answers


def sent(model: str, talks: list[Turns]) -> list[dict[str, Any]]:
    """What a rollout, the server and the evaluation send: the tokenizer's own chat template.

    [{prompt_ids, response_ids, tokens}]; `tokens` is the text of each token of both.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    answers = []
    for turns in talks:
        prompt = tokenizer.apply_chat_template(turns[:-1], add_generation_prompt=True, return_dict=False)
        whole = tokenizer.apply_chat_template(turns, return_dict=False)
        response = whole[len(prompt) :] if whole[: len(prompt)] == prompt else whole
        tokens = [tokenizer.decode([number]) for number in prompt + response]
        answers.append({"prompt_ids": prompt, "response_ids": response, "tokens": tokens})
    return answers


def memory(
    model: str, zero: int, offload: bool, offload_params: bool, gpus: int, nodes: int, bits: int
) -> dict[str, Any]:
    """A model counted on the meta device from its configuration, without weights, and what its training holds.

    {params, weights, gpu, cpu, modules}: weights once (tied ones count once); bytes of the weights at `bits` each; bytes of the
    model states on one card, and in the memory of one node, by DeepSpeed's estimators, by accelerate's without ZeRO.
    `gpus` a node. Activations are in no estimator. `modules` are the names that modules have in their parents.
    """
    import torch
    from accelerate.utils import calculate_maximum_sizes
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        made = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(model), dtype=torch.bfloat16)
    params = sum(weight.numel() for weight in made.parameters())
    largest = max(sum(weight.numel() for weight in part.parameters(recurse=False)) for part in made.modules())
    weights = calculate_maximum_sizes(made)[0] * bits // 16
    if zero == 3:
        from deepspeed.runtime.zero.stage3 import estimate_zero3_model_states_mem_needs as estimate

        cpu, gpu, _ = estimate(params, largest, gpus, nodes, offload, offload_params)
    elif zero in (1, 2):
        from deepspeed.runtime.zero.stage_1_and_2 import estimate_zero2_model_states_mem_needs as estimate

        cpu, gpu = estimate(params, gpus, nodes, offload)
    else:
        from accelerate.commands.estimate import estimate_training_usage

        # Its "float32" is the weights, their gradients and Adam's two states, all of the type that the weights have.
        cpu, gpu = 0, estimate_training_usage(weights, "float32")["step"]
    modules = sorted({name.rpartition(".")[2] for name, _ in made.named_modules()} - {""})
    return {"params": params, "weights": weights, "gpu": gpu, "cpu": cpu, "modules": modules}


ASKED = {each.__name__: each for each in (keys, templates, deepspeed_keys, accelerate_keys, learned, sent, memory)}


def answer(question: dict[str, Any]) -> dict[str, Any]:
    arguments = dict(question)
    try:
        return {"value": ASKED[arguments.pop("ask")](**arguments)}
    except Exception as error:  # of whatever library: the asker says it in its own words
        return {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"}


questions = json.load(sys.stdin)
if all(question["ask"] == "sent" for question in questions):
    # A tokenizer needs no torch, whose import takes three of the four seconds; transformers does without it.
    sys.modules["torch"] = None  # type: ignore[assignment]
print("\n" + json.dumps([answer(question) for question in questions]))
