"""What can be known of a GRPO recipe in OpenR1's schema before it runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distill.tokens import ChatTemplate
from launch import batch, openr1, recipe
from launch.check import adapters, inside, lengths, memory, rewards, rows, surroundings, together, values, zero_config
from launch.check.checked import Checked, model_folder
from launch.check.finding import Findings, holds, lacking, mistake, need
from launch.check.grpo_prompts import prompt_columns, prompt_of
from launch.check.grpo_sets import GrpoSet, grpo_sets, read_sets
from launch.check.place import UNSEEN, Place
from launch.check.strings import ROWS_SHOWN, conversations, same_prompt
from launch.models import has_chat_template
from launch.openr1 import Translation, translate
from launch.paths import home
from reward_plugins.errors import Refused, did_you_mean

NEEDED = ("model_name_or_path", "output_dir")


def _takes(*kinds: str) -> dict[str, Any]:
    return {"kinds": list(kinds), "choices": None}


_OWN = {
    "reward_funcs": _takes("list", "str"),
    "dataset_name": _takes("str", "null"),
    "dataset_mixture": _takes("dict", "null"),
    "dataset_prompt_column": _takes("str"),
    "system_prompt": _takes("str", "null"),
    "chat_template": _takes("str", "null"),
    "max_prompt_length": _takes("int", "null"),
    "num_generations": _takes("int"),
    "vllm_tensor_parallel_size": _takes("int"),
    "vllm_gpu_memory_utilization": _takes("float"),
    # open-r1 writes true and false where TRL now has names
    "scale_rewards": _takes("bool", "str"),
    "torch_dtype": _takes("str", "null"),
    **{key: _takes("int") for key in openr1.BATCH_KEYS},
}
"""The kinds of keys that TRL does not have, takes otherwise, or that are read before TRL is asked."""


def grpo(
    asked: Mapping[str, Any],
    place: Place,
    accelerate: str | None = None,
    processes: int | None = None,
    open_r1: bool = False,
) -> Checked:
    """Look a GRPO recipe over, for a launch with an accelerate configuration (by default the command's own) on
    `processes` ranks (by default one a GPU, two on a CPU); see `launch.check`.

    `open_r1`: it runs on a real open-r1, which alone has the rewards that run code; those cannot be tried here.
    """
    checked = Checked()
    found = checked.findings
    readable = values.of_kind(asked, _OWN)
    model, said = model_folder(readable.get("model_name_or_path"), place)
    found += said
    data = {key: readable[key] for key in openr1.KIT_KEYS if key in readable}
    sets, said = grpo_sets(data, readable, place)
    found += said
    loaded, said = read_sets(sets)
    found += said
    try:
        launched = recipe.load(accelerate or default_shape(place))
    except Refused as refusal:
        found.append(mistake("accelerate", f"--accelerate: {refusal}"))
        launched = {}
    talks = _talks(data, [row for read in loaded.values() for row in read[:ROWS_SHOWN]])
    try:
        _ask_ahead(readable, model, talks, launched, processes, place)
        kinds = inside.value("rl", ask="keys")
    except Refused as refusal:
        found.append(lacking("stack", f"stack rl: {refusal}"))
        return checked
    found += values.unknown_keys(asked, known_names(set(kinds)))
    found += values.missing_keys(asked, NEEDED)
    found += values.values(asked, _kinds(kinds))
    names = readable.get("reward_funcs") or []
    if odd := [name for name in names if not isinstance(name, str)]:
        said_of = f"reward_funcs: {odd[0]!r} is no name; write a dotted path, or a name of open-r1's"
        found.append(mistake("rewards", said_of, "reward_funcs"))
    wrong = {finding.key for finding in found}
    sound = {key: value for key, value in asked.items() if key not in wrong}
    try:
        translated = translate(sound, set(kinds))
    except Refused as refusal:
        if "reward_funcs" not in wrong:
            found.append(mistake("keys", str(refusal)))
        return checked
    if not open_r1:
        try:
            openr1.refuse_code_rewards(translated)
        except Refused as refusal:
            found.append(mistake("rewards", str(refusal)))
    checked.became += translated.notes
    trl = translated.trl
    ranks = _ranks(translated, launched, processes, place)
    each_step = _batch(checked, translated, ranks)
    found += together.grpo(trl, ranks)
    for path, read in loaded.items():
        if read:
            found += prompt_columns(translated, path, read)
    prompts = [row for read in loaded.values() for row in read if prompt_of(translated.data, row)]
    conversational = [{**row, "prompt": prompt_of(translated.data, row)} for row in prompts]
    if conversational:
        found += rewards.gold_answers(translated.rewards, conversational, next(iter(loaded)))
        code = translated.code_rewards()
        found += rewards.worth(
            [reward for reward in translated.rewards if reward not in code],
            weights if isinstance(weights := trl.get("reward_weights"), list) and not code else None,
            translated.reward_parameters,
            conversational,
            int(trl.get("max_completion_length") or 512),
        )
    found += _lengths(translated, model, conversational, each_step)
    if not translated.data.get("chat_template"):
        found += _string(checked, model, talks)
    found += _evaluation(trl, translated.data, sets)
    found += zero_config.accelerate(launched, ranks, trl, place.machine)
    if trl.get("deepspeed"):
        wrong_file = zero_config.read_deepspeed(trl["deepspeed"], place)[1]
        found += [mistake("deepspeed", wrong_file)] if wrong_file else []
    if model:
        shape = _shape(trl, launched, ranks)
        found += memory.fits("rl", model, shape, place.machine)
        found += adapters.targets("rl", model, shape, trl, "lora_target_modules")
    on_cpu = trl | {"use_cpu": trl.get("use_cpu") or launched.get("use_cpu")}
    found += surroundings.arithmetic(on_cpu, place.machine)
    stack = "" if open_r1 else "rl-vllm" if trl.get("use_vllm") else "rl"
    found += surroundings.attention(stack, trl, place.machine)
    found += surroundings.quantisation(stack, trl, place.machine)
    found += surroundings.vllm(trl, place.machine)
    found += surroundings.optional_packages(stack, trl, place.machine)
    found += surroundings.trackers(stack, trl)
    found += surroundings.hub(trl)
    found += surroundings.goes_on_from(trl, place)
    found += surroundings.output(sound, place)
    return checked


def grpo_keys(asked: dict[str, Any], name: str) -> Translation:
    """Read an OpenR1 recipe and refuse what neither OpenR1 nor TRL knows, each such key at once."""
    kinds = inside.value("rl", ask="keys")
    found = [*values.unknown_keys(asked, known_names(set(kinds))), *values.missing_keys(asked, NEEDED)]
    if asked.get("trust_remote_code"):
        found.append(mistake("values", "trust_remote_code would run a stranger's code; the kit does not: take it out"))
    need(name, found)
    try:
        return translate(asked, set(kinds))
    except Refused as refusal:
        raise Refused(f"{name}: {refusal}") from None


def grpo_data(translated: Translation) -> list[Path]:
    """The files of a GRPO recipe's local data sets, each looked at ([] for sets of a hub).

    Raises:
        Refused: no data is named, a folder has no train file, a line cannot be read, or the prompt column is missing.
    """
    sets, found = grpo_sets(translated.data, translated.trl, Place(UNSEEN))
    loaded, said = read_sets(sets)
    found += said
    for file, read in loaded.items():
        if read:
            found += prompt_columns(translated, file, read)
    need("", found)
    return list(loaded)


def grpo_needs_hub(translated: Translation) -> bool:
    """Whether a run fetches a set from a hub or pushes its model there."""
    mixture = translated.data.get("dataset_mixture")
    named = [part["id"] for part in mixture["datasets"]] if mixture else [translated.trl.get("dataset_name")]
    here = all((home() / str(each)).is_dir() for each in named)
    return bool(translated.trl.get("push_to_hub") or not here)


def grpo_batch(translated: Translation, ranks: int) -> str:
    """The batch arithmetic of a GRPO recipe in one line.

    Raises:
        Refused: one update's completions do not divide into groups (TRL would say so in its first step).
    """
    each = int(translated.trl.get("per_device_train_batch_size", 8))
    steps = int(translated.trl.get("steps_per_generation") or translated.trl.get("gradient_accumulation_steps", 1))
    group = int(translated.trl.get("num_generations", 8))
    total = int(translated.trl.get("generation_batch_size") or each * ranks * steps)
    if group < 2:
        raise Refused(f"num_generations is {group}: a group needs at least 2 completions to compare")
    line = f"{each} a device x {ranks} ranks x {steps} steps = {total} completions / {group} a prompt = {total / group:g} prompts"
    if total % group:
        fewer = [count for count in range(ranks - 1, 0, -1) if each * count * steps % group == 0]
        raise Refused(
            f"{line}: not a whole number; make per_device_train_batch_size x ranks x gradient_accumulation_steps a "
            f"multiple of num_generations ({group})" + (f", or run on {fewer[0]} ranks (--processes)" if fewer else "")
        )
    return line


def known_names(trl: set[str]) -> set[str]:
    """Every key that an OpenR1 recipe may have: TRL's of today and of then, open-r1's own, the kit's."""
    tables = (openr1.DROPPED, openr1.RENAMED, openr1.ENVIRONMENT, openr1.REWARD_PARAMETERS, openr1.KIT_KEYS)
    more = {"reward_funcs", "gradient_checkpointing_use_reentrant", *openr1.BATCH_KEYS}
    return trl.union(more, *tables)


def default_shape(place: Place) -> str:
    """The accelerate configuration that `finr1 grpo` takes where none is named."""
    return f"recipes/accelerate/{'zero3' if place.machine.cards else 'cpu_zero3'}.yaml"


def _kinds(trl: Mapping[str, Any]) -> dict[str, Any]:
    """The kinds of values that a recipe's keys take, old names as the new ones that they became."""
    renamed = {old: trl[new] for old, new in openr1.RENAMED.items() if new in trl}
    return {**trl, **renamed, **_OWN}


def _ranks(translated: Translation, launched: Mapping[str, Any], processes: int | None, place: Place) -> int:
    available = place.machine.cards * int(launched.get("num_machines", 1)) or 2
    return processes or batch.most_ranks(translated, available)


def _batch(checked: Checked, translated: Translation, ranks: int) -> int:
    """Say the arithmetic; prompts of a step, 1 where it does not work out."""
    try:
        solved = batch.of_recipe(translated, ranks)
        said = str(solved) if solved else grpo_batch(translated, ranks)
    except Refused as refusal:
        checked.findings.append(mistake("batch", str(refusal)))
        return 1
    checked.findings.append(holds("batch", said))
    group = int(translated.trl.get("num_generations", 8))
    each = int(translated.trl.get("per_device_train_batch_size", 8))
    steps = int(translated.trl.get("steps_per_generation") or translated.trl.get("gradient_accumulation_steps", 1))
    return max(1, each * ranks * steps // group)


def _talks(data: Mapping[str, Any], first: list[rows.Row]) -> list[rows.Turns]:
    shown = [{**row, "prompt": prompt_of(data, row)} for row in first if prompt_of(data, row)]
    return list(conversations(shown))[:ROWS_SHOWN]


def _ask_ahead(
    asked: Mapping[str, Any],
    model: str | None,
    talks: list[rows.Turns],
    launched: Mapping[str, Any],
    processes: int | None,
    place: Place,
) -> None:
    """All questions to both stacks, each in one start."""
    engine: list[dict[str, Any]] = [{"ask": "keys"}, {"ask": "accelerate_keys"}]
    ahead = {"rl": engine}
    if model:
        ranks = processes or place.machine.cards * int(launched.get("num_machines", 1)) or 2
        engine.append(_shape(asked, launched, ranks).question(model))
        if talks and not asked.get("chat_template") and has_chat_template(Path(model)):
            sent = {"ask": "sent", "model": model, "talks": talks}
            engine.append(sent)
            ahead["sft"] = [sent]
    inside.ask_ahead(ahead)


def _lengths(translated: Translation, model: str | None, prompts: list[rows.Row], each_step: int) -> Findings:
    trl, data = translated.trl, translated.data
    longest, answer = data.get("max_prompt_length"), trl.get("max_completion_length") or 512
    if prompts and len(prompts) < each_step:
        yield mistake("batch", f"the data has {len(prompts)} prompts, and a step takes {each_step}; take fewer a step")
    if not model or not prompts:
        return
    most = int(longest or 0) + int(answer)
    if trl.get("use_vllm") and most > int(trl.get("vllm_max_model_length") or most):
        yield mistake(
            "tokens",
            f"vllm_max_model_length is {trl['vllm_max_model_length']}, and a prompt with its completion may have {most:,} "
            "tokens; raise it, or leave it out",
        )
    try:
        if data.get("chat_template"):
            ChatTemplate(str(data["chat_template"]), {}, Path("chat_template"))
        elif longest:
            yield from lengths.long_prompts(prompts, model, int(longest), each_step)
    except Refused as refusal:
        yield mistake("tokens", str(refusal))
    config = lengths.configuration(model)
    yield from lengths.fits_model(config, most, "max_prompt_length and max_completion_length together")


def _string(checked: Checked, model: str | None, talks: list[rows.Turns]) -> Findings:
    if not model or not talks:
        return
    if not has_chat_template(Path(model)):
        said = "has no chat template; name a model that was trained on conversations, or set chat_template"
        yield mistake("template", f"model_name_or_path: {model} {said}")
        return
    try:
        checked.shown += same_prompt(model, talks)
    except Refused as refusal:
        yield mistake("template", str(refusal))
    else:
        yield holds("template", "the trainer and the server make the same tokens of a prompt")


def _evaluation(trl: Mapping[str, Any], data: Mapping[str, Any], sets: list[GrpoSet]) -> Findings:
    if not sets:
        return
    mixture = data.get("dataset_mixture")
    there = set(sets[0].files)
    if mixture:  # one split, and a second where a share of it is held back
        there = {"train", "test"} if mixture.get("test_split_size") else {"train"}
    train = str(trl.get("dataset_train_split", "train"))
    if train not in there:
        yield mistake("values", f"dataset_train_split: the data has no split {train!r}{did_you_mean(train, there)}")
    split = str(trl.get("dataset_test_split", "test"))
    if str(trl.get("eval_strategy", "no")) != "no" and split not in there:
        add = "dataset_mixture.test_split_size" if mixture else "one"
        yield mistake(
            "values",
            f"eval_strategy is {trl['eval_strategy']}, and the data has no split {split!r}; add {add}, or set "
            'eval_strategy: "no"',
        )


def _shape(trl: Mapping[str, Any], launched: Mapping[str, Any], ranks: int) -> memory.Shape:
    """How the training is spread and what it keeps."""
    zero, offload, offload_params, sharded = zero_config.zero_of_accelerate(launched)
    dtype = str(trl.get("dtype") or trl.get("torch_dtype") or "float32")
    bits = 4 if trl.get("load_in_4bit") else 8 if trl.get("load_in_8bit") else 16 if "16" in dtype else 32
    beta = trl.get("beta", openr1.OLD_DEFAULTS["beta"])
    colocated = trl.get("use_vllm") and trl.get("vllm_mode", "server") == "colocate"
    nodes = int(launched.get("num_machines", 1))
    return memory.Shape(
        zero=zero,
        offload=offload,
        offload_params=offload_params,
        sharded=sharded,
        ranks=ranks,
        nodes=max(1, min(nodes, ranks)),
        bits=bits,
        adapter=bool(trl.get("use_peft")),
        reference=isinstance(beta, int | float) and beta > 0,
        vllm_share=float(trl.get("vllm_gpu_memory_utilization", 0.3)) if colocated else 0.0,
        vllm_parallel=int(trl.get("vllm_tensor_parallel_size", 1)),
        cure="--accelerate",
    )
