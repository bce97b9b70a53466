"""What can be known of a LLaMA-Factory recipe before it runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from launch.check import adapters, inside, lengths, memory, rows, surroundings, together, values, zero_config
from launch.check.checked import Checked, model_folder
from launch.check.finding import Finding, Findings, holds, lacking, mistake, need, note, unknown
from launch.check.place import UNSEEN, Place
from launch.check.strings import ROWS_SHOWN, learned, need_template, same_string
from launch.models import has_chat_template
from reward_plugins.errors import Refused


def needed(asked: Mapping[str, Any]) -> tuple[str, ...]:
    """What a run needs and LLaMA-Factory would miss only after its start, or fill in silently."""
    talks = () if asked.get("stage") == "pt" else ("template",)  # pretraining reads plain text
    return ("model_name_or_path", "stage", "dataset", *talks, "output_dir")


def sft(asked: Mapping[str, Any], place: Place) -> Checked:
    """Look a recipe of SFT, DPO or another of LLaMA-Factory's stages over; see `launch.check`."""
    checked = Checked()
    found = checked.findings
    model, said = model_folder(asked.get("model_name_or_path"), place)
    found += said
    sets, loaded, said = _read_sets(asked, place)
    found += said
    found += _read_sets(asked, place, "eval_dataset")[2]
    broken = {finding.key for finding in found}
    whole = [each for each in sets if loaded.get(each.name) and each.name not in broken and asked.get("stage") != "pt"]
    talks = [each.talk(row) for each in whole for row in loaded[each.name][:ROWS_SHOWN]][:ROWS_SHOWN]
    ranks = max(1, place.machine.cards)
    zero, said = _deepspeed(asked, place)
    found += said
    shape = _shape(asked, zero, ranks, place)
    try:
        _ask_ahead(model, shape, asked.get("template"), talks, asked.get("default_system"))
        kinds = inside.value("sft", ask="keys")
    except Refused as refusal:
        found.append(lacking("stack", f"stack sft: {refusal}"))
        return checked
    found += values.missing_keys(asked, needed(asked))
    found += values.unknown_keys(asked, set(kinds))
    found += values.values(asked, {key: _or_list(takes) for key, takes in kinds.items()})
    wrong = {finding.key for finding in found}
    sound = {key: value for key, value in asked.items() if key not in wrong}
    stage, *_ = memory.zero_of(zero)
    found += together.sft(sound, stage)
    found += _template(checked, model, sound.get("template"), talks, sound.get("default_system"))
    cutoff = int(sound.get("cutoff_len", 2048))
    if model:
        for each in whole:
            found += _refused_as_mistake("tokens", lengths.cut_answers(each, loaded[each.name], model, cutoff))
        stretched = bool(sound.get("rope_scaling"))
        found += lengths.fits_model(lengths.configuration(model), cutoff, "cutoff_len", stretched)
    found += _batch(sound, sum(len(loaded[each.name]) for each in whole), ranks)
    if zero:
        found += zero_config.deepspeed(zero, sound, "sft")
    if model:
        found += memory.fits("sft", model, shape, place.machine)
        found += adapters.targets("sft", model, shape, sound, "lora_target")
    found += adapters.adapter(sound, place)
    found += surroundings.optional_packages("sft", sound, place.machine)
    found += surroundings.goes_on_from(sound, place)
    found += surroundings.ray(sound)
    found += surroundings.arithmetic(sound, place.machine)
    found += surroundings.attention("sft", sound, place.machine)
    found += surroundings.quantisation("sft", sound, place.machine)
    found += surroundings.trackers("sft", sound)
    found += surroundings.hub(sound)
    found += surroundings.output(sound, place)
    return checked


def sft_keys(asked: dict[str, Any], name: str) -> None:
    """Refuse keys that LLaMA-Factory does not know, and a recipe without what every run needs."""
    known = set(inside.value("sft", ask="keys"))
    need(name, [*values.unknown_keys(asked, known), *values.missing_keys(asked, needed(asked))])


def sft_data(asked: dict[str, Any]) -> tuple[Path, list[Path]]:
    """The registry that a LLaMA-Factory recipe uses and the files of its sets, each looked at.

    Raises:
        Refused: a set is not in the registry, its file is missing, a line cannot be read, or a column is not there.
    """
    place = Place(UNSEEN)
    sets, _, found = _read_sets(asked, place)
    tried, _, more = _read_sets(asked, place, "eval_dataset")
    need("", [*found, *more])
    files = [file for each in [*sets, *tried] for file in each.files()]
    return place.path(str(asked.get("dataset_dir", "data"))) / "dataset_info.json", files


def sft_needs_hub(asked: Mapping[str, Any]) -> bool:
    """Whether a run fetches a set from a hub or pushes its model there."""
    place = Place(UNSEEN)
    said = [finding for key in ("dataset", "eval_dataset") for finding in rows.sft_sets(asked, place, key)[1]]
    return bool(asked.get("push_to_hub") or said)


def merge(asked: Mapping[str, Any], place: Place) -> Checked:
    """Look a recipe for merging an adapter over."""
    checked = Checked()
    found = checked.findings
    try:
        kinds = inside.value("sft", ask="keys")
    except Refused as refusal:
        found.append(lacking("stack", f"stack sft: {refusal}"))
        return checked
    found += values.missing_keys(asked, ("model_name_or_path", "adapter_name_or_path", "template", "export_dir"))
    found += values.unknown_keys(asked, set(kinds))
    found += values.values(asked, {key: _or_list(takes) for key, takes in kinds.items()})
    if isinstance(asked.get("template"), str) and asked["template"]:
        found += _template(checked, None, asked["template"], [])
    for key in ("quantization_bit", "export_quantization_bit", "load_in_4bit", "load_in_8bit"):
        if asked.get(key):
            found.append(
                mistake("quantisation", f"{key}: an adapter cannot be merged into quantised weights; leave it out", key)
            )
    for key in ("model_name_or_path", "adapter_name_or_path"):
        folder, said = model_folder(asked.get(key), place, key)
        found += said
        if folder and key.startswith("adapter") and not (Path(folder) / "adapter_config.json").is_file():
            found.append(mistake("model", f"{key}: {folder} holds no adapter (no adapter_config.json)"))
        elif folder and key.startswith("adapter") and not any(Path(folder).glob("adapter_model.*")):
            found.append(lacking("model", f"{key}: {folder} has no weights (adapter_model.safetensors)"))
        if folder and key.startswith("model") and lengths.configuration(folder).get("quantization_config"):
            found.append(
                mistake("quantisation", f"{key}: {folder} is quantised; merge into the unquantised base model")
            )
    found += surroundings.output(asked, place, "export_dir")
    return checked


def _or_list(takes: Mapping[str, Any]) -> dict[str, Any]:
    """LLaMA-Factory splits a text at its commas, and takes a list as it is."""
    more = ["list"] if "str" in takes["kinds"] and not takes["choices"] else []
    return {"kinds": [*takes["kinds"], *more], "choices": takes["choices"]}


def _read_sets(
    asked: Mapping[str, Any], place: Place, key: str = "dataset"
) -> tuple[list[rows.TrainingSet], dict[str, list[rows.Row]], list[Finding]]:
    """The recipe's sets, the rows of each that could be read, and what was found of files and columns."""
    sets, found = rows.sft_sets(asked, place, key)
    loaded: dict[str, list[rows.Row]] = {}
    for each in sets:
        if not each.file.exists():
            found.append(place.missing("data", each.file, f"{key} {each.name}", "`finr1 export` writes it"))
            continue
        loaded[each.name] = []
        for file in each.files():
            if file.suffix not in rows.READ:
                found.append(unknown("data", f"{file} is loaded by LLaMA-Factory, and not looked at here"))
                continue
            read, said = rows.read(file)
            loaded[each.name] += read
            found += said
        if loaded[each.name]:
            found += rows.sft_columns(each, loaded[each.name], str(asked.get("stage", "sft")))
    return sets, loaded, found


def _ask_ahead(model: str | None, shape: memory.Shape, template: Any, talks: list[rows.Turns], system: Any) -> None:
    """All questions to both stacks, each in one start."""
    engine: list[dict[str, Any]] = [{"ask": "keys"}, {"ask": "templates"}]
    if shape.zero:
        engine.append({"ask": "deepspeed_keys"})
    ahead = {"sft": engine}
    if model:
        engine.append(shape.question(model))
        if talks and isinstance(template, str) and has_chat_template(Path(model)):
            engine.append(learned(model, template, talks, system))
            ahead["rl"] = [{"ask": "sent", "model": model, "talks": talks}]
    inside.ask_ahead(ahead)


def _template(
    checked: Checked, model: str | None, template: Any, talks: list[rows.Turns], system: Any = None
) -> Findings:
    if not isinstance(template, str):
        return
    try:
        need_template(template)
        if model and talks and not has_chat_template(Path(model)):
            yield note("template", f"the model has no chat template; what is trained gets LLaMA-Factory's {template}")
        elif model and talks:
            checked.shown += same_string(model, template, talks, system)
            yield holds("template", f"{template}: the same string as the model's own chat template")
        else:
            yield unknown("template", f"{template} is known; whether it is the model's own needs the model and a row")
    except Refused as refusal:
        yield mistake("template", str(refusal))


def _batch(asked: Mapping[str, Any], count: int, ranks: int) -> Findings:
    each = int(asked.get("per_device_train_batch_size", 8))
    steps = int(asked.get("gradient_accumulation_steps", 1))
    update = each * ranks * steps
    said = (
        f"{each} a device x {ranks} rank{'s' * (ranks > 1)} x {steps} step{'s' * (steps > 1)} = {update} rows an update"
    )
    if not count:
        yield holds("batch", said)
        return
    trained = min(count, int(asked["max_samples"])) if asked.get("max_samples") else count
    apart = float(asked.get("val_size", 0))
    trained -= int(apart if apart > 1 else apart * trained)  # a share up to 1, a number of rows above
    if trained <= 0:
        yield mistake("values", f"val_size: {apart:g} leaves none of {count:,} rows to train on; take less")
        return
    epochs = asked.get("num_train_epochs", 3)
    updates = max(1, trained // update)
    yield holds("batch", f"{said}; {trained:,} rows = {updates:,} updates an epoch, {epochs:g} epochs")
    if trained < update:
        yield note("batch", f"per_device_train_batch_size: {trained} rows are less than one update of {update}")
    limit = int(asked.get("max_steps", -1))
    whole = limit if limit > 0 else math.ceil(updates * epochs)
    for key, what in (("warmup_steps", "the learning rate never comes to its value"), ("save_steps", "none is saved")):
        if asked.get(key, 0) >= max(whole, 1) and (key != "save_steps" or asked.get("save_strategy") == "steps"):
            yield note("values", f"{key} is {asked[key]:g}, and the run has {whole:,} updates: {what} before its end")


def _deepspeed(asked: Mapping[str, Any], place: Place) -> tuple[dict[str, Any], list[Finding]]:
    """DeepSpeed's configuration, {} without one, and what is wrong with it."""
    if not asked.get("deepspeed"):
        return {}, []
    config, wrong = zero_config.read_deepspeed(asked["deepspeed"], place)
    return config, [mistake("deepspeed", wrong)] if wrong else []


def _shape(asked: Mapping[str, Any], config: Mapping[str, Any], ranks: int, place: Place) -> memory.Shape:
    """How the training is spread and what it keeps."""
    zero, offload, offload_params = memory.zero_of(config)
    adapter = asked.get("finetuning_type", "lora") != "full"
    half = bool(asked.get("bf16") or asked.get("fp16"))
    # Without ZeRO, LLaMA-Factory holds what is trained in fp32, unless `pure_bf16`.
    bits = 16 if asked.get("pure_bf16") or (half and (adapter or zero)) else 32
    quantised = asked.get("quantization_bit")
    return memory.Shape(
        zero=zero,
        offload=offload,
        offload_params=offload_params,
        ranks=ranks,
        bits=quantised if isinstance(quantised, int) else bits,
        adapter=adapter,
        reference=asked.get("stage") in ("dpo", "kto") and not adapter,
        cure="deepspeed" if zero or place.machine.cards else "model_name_or_path",
    )


def _refused_as_mistake(about: str, findings: Findings) -> list[Finding]:
    try:
        return list(findings)
    except Refused as refusal:
        return [mistake(about, str(refusal))]
