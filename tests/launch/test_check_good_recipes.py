"""Recipes as people write them, each sound: the check must find nothing to mend, or nobody will believe it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet
from small_runs import furnish, register, rewrite, rows_of

from distill.dataset_info import entry
from launch import recipe
from launch.check import Place, State, named_machine
from launch.check.finding import of
from launch.check.kinds import kind_of, look_over

pytestmark = pytest.mark.engine  # the engines are asked about templates and memory, in their own stacks

SMOLLM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
"""What the small model's own chat template puts before a conversation that begins without a system prompt."""

# The keys of LLaMA-Factory's own examples (lora, full, qlora, dpo), on a small model and set.
LORA = """\
### model
model_name_or_path: model
trust_remote_code: false

### method
stage: sft
do_train: true
finetuning_type: lora
lora_rank: 8
lora_target: all

### dataset
dataset_dir: .
dataset: small_sft
template: chatml
cutoff_len: 2048
max_samples: 1000
overwrite_cache: true
preprocessing_num_workers: 16
dataloader_num_workers: 4

### output
output_dir: saves/small/lora/sft
logging_steps: 10
save_steps: 500
plot_loss: true
overwrite_output_dir: true
save_only_model: false
report_to: none  # choices: [none, wandb, tensorboard, swanlab, mlflow]

### train
per_device_train_batch_size: 1
gradient_accumulation_steps: 8
learning_rate: 1.0e-4
num_train_epochs: 3.0
lr_scheduler_type: cosine
warmup_ratio: 0.1
bf16: true
ddp_timeout: 180000000
resume_from_checkpoint: null

### eval
# eval_dataset: alpaca_en_demo
# val_size: 0.1
"""

FULL = LORA.replace("finetuning_type: lora\nlora_rank: 8\nlora_target: all", "finetuning_type: full\ndeepspeed: recipes/deepspeed/zero3.json")  # fmt: skip

EVALUATED = LORA.replace("# val_size: 0.1", "val_size: 0.1\nper_device_eval_batch_size: 1\neval_strategy: steps\neval_steps: 250\nload_best_model_at_end: true\nmetric_for_best_model: eval_loss")  # fmt: skip

CHINESE = "# 金融推理模型的监督微调（第一阶段）\n" + LORA.replace(
    "learning_rate: 1.0e-4", "learning_rate: 1e-4 # 学习率：不要超过 5e-4"
)


WITH_ANCHORS = LORA.replace("per_device_train_batch_size: 1", "per_device_train_batch_size: &small 1").replace(
    "lora_rank: 8", "lora_rank: &rank 16\nlora_alpha: *rank"
)

LISTS = LORA.replace("dataset: small_sft", "dataset: [small_sft, small_more]").replace(
    "lora_target: all", "lora_target: q_proj, v_proj,o_proj"
)

QLORA = LORA.replace("lora_rank: 8", "lora_rank: 8\nquantization_bit: 4\nquantization_method: bnb\nuse_dora: true")

STREAMED = LORA.replace("max_samples: 1000", "streaming: true\nmax_steps: 100\nbuffer_size: 128\nmix_strategy: concat")

ALPACA = LORA.replace("dataset: small_sft", "dataset: small_alpaca").replace("1.0e-4", "1e-4")

PRETRAINING = (
    LORA.replace("stage: sft", "stage: pt").replace("small_sft", "small_text").replace("template: chatml\n", "")
)
ANEW = LORA.replace("resume_from_checkpoint: null", "resume_from_checkpoint: false")
GOES_ON = LORA.replace("resume_from_checkpoint: null", "resume_from_checkpoint: true")
FOLDER = LORA.replace("dataset: small_sft", "dataset: small_folder, small_table")
MIN_LR = LORA.replace("lr_scheduler_type: cosine", "lr_scheduler_type: cosine_with_min_lr\nlr_scheduler_kwargs: '{\"min_lr\": 1.0e-6}'")  # fmt: skip
SHARDED = LORA.replace("bf16: true", "bf16: true\nfsdp: full_shard auto_wrap\nfsdp_config: {fsdp_version: 2}")
BASE_MODEL = LORA.replace("model_name_or_path: model", "model_name_or_path: base")

DEFAULT_SYSTEM = LORA.replace("template: chatml", f"template: chatml\ndefault_system: {SMOLLM}").replace(
    "small_sft", "small_bare"
)

DPO = LORA.replace("stage: sft", "stage: dpo\npref_beta: 0.1\npref_loss: sigmoid").replace("small_sft", "small_dpo")

# The keys of open-r1's own recipes, with its names of old.
OPEN_R1 = """\
# Model arguments
model_name_or_path: model
model_revision: main
torch_dtype: bfloat16
attn_implementation: sdpa

# Data training arguments
dataset_name: datasets/small/grpo
dataset_prompt_column: prompt
system_prompt: "You are a helpful AI Assistant that provides well-reasoned and detailed responses. <think>\\n...\\n</think>"

# GRPO trainer config
bf16: true
use_vllm: false
do_eval: false
gradient_accumulation_steps: 4
gradient_checkpointing: true
gradient_checkpointing_kwargs:
  use_reentrant: false
hub_strategy: every_save
learning_rate: 1.0e-06
log_completions: true
log_level: info
logging_first_step: true
logging_steps: 1
logging_strategy: steps
lr_scheduler_type: cosine_with_min_lr
lr_scheduler_kwargs:
  min_lr_rate: 0.1
max_prompt_length: 1024
max_completion_length: 2048
max_steps: -1
num_generations: 16
num_train_epochs: 1
output_dir: data/small-grpo
overwrite_output_dir: true
per_device_eval_batch_size: 16
per_device_train_batch_size: 16
push_to_hub: false
report_to: none
reward_funcs:
- accuracy
- format
- tag_count
reward_weights:
- 1.0
- 1.0
- 1.0
save_strategy: "epoch"
save_total_limit: 1
seed: 42
temperature: 0.7
warmup_ratio: 0.1
"""

OPEN_R1_BATCHES = OPEN_R1.replace("gradient_accumulation_steps: 4", "prompts_per_step: 8\nsamples_per_update: 64")
OPEN_R1_LORA = OPEN_R1.replace("attn_implementation: sdpa", "use_peft: true\nlora_r: 16\nlora_alpha: 32\nlora_target_modules: [q_proj, k_proj, v_proj]")  # fmt: skip
OPEN_R1_VLLM = OPEN_R1.replace("use_vllm: false", "use_vllm: true\nvllm_mode: colocate\nvllm_gpu_memory_utilization: 0.3")  # fmt: skip
OPEN_R1_MIXTURE = OPEN_R1.replace(
    "dataset_name: datasets/small/grpo",
    "dataset_mixture:\n  datasets:\n  - id: datasets/small/grpo\n    split: train\n    weight: 0.5\n  seed: 7",
)
OPEN_R1_HELD_BACK = OPEN_R1_MIXTURE.replace(
    "  seed: 7", "    columns: [prompt, solution]\n  seed: 7\n  test_split_size: 0.25"
).replace("per_device_eval_batch_size: 16", "per_device_eval_batch_size: 16\neval_strategy: steps\neval_steps: 2")
OPEN_R1_CLONE = OPEN_R1.replace(
    "dataset_name: datasets/small/grpo", "dataset_name: datasets/clone\ndataset_config: sums"
)
OPEN_R1_WEIGHTS = OPEN_R1.replace("- 1.0\n- 1.0\n- 1.0", "- 1\n- 0\n- 0.25").replace("num_generations: 16", "num_generations: 8\nloss_type: dr_grpo\nscale_rewards: false\nbeta: 0.0\nepsilon_high: 0.28")  # fmt: skip

GOOD = {
    "lora": LORA,
    "full with ZeRO-3": FULL,
    "evaluated, and the best is kept": EVALUATED,
    "comments in Chinese": CHINESE,
    "anchors": WITH_ANCHORS,
    "lists": LISTS,
    "4 bits and DoRA": QLORA,
    "streamed": STREAMED,
    "plain text": PRETRAINING,
    "system prompt of the recipe": DEFAULT_SYSTEM,
    "begun anew": ANEW,
    "gone on from the newest": GOES_ON,
    "a folder of files, and a table": FOLDER,
    "an end of the learning rate": MIN_LR,
    "FSDP": SHARDED,
    "a base model, which has no chat template": BASE_MODEL,
    "Alpaca's form": ALPACA,
    "pairs": DPO,
    "line ends of Windows": LORA.replace("\n", "\r\n"),
    "byte order mark": "\ufeff" + LORA,
    "open-r1": OPEN_R1,
    "open-r1, line ends of Windows": OPEN_R1.replace("\n", "\r\n"),
    "open-r1 with batches of the kit": OPEN_R1_BATCHES,
    "open-r1 with an adapter": OPEN_R1_LORA,
    "open-r1 with vLLM": OPEN_R1_VLLM,
    "open-r1 with a mixture": OPEN_R1_MIXTURE,
    "open-r1 with a mixture of which a share is held back": OPEN_R1_HELD_BACK,
    "open-r1 with the clone of a hub's set": OPEN_R1_CLONE,
    "open-r1, Dr. GRPO": OPEN_R1_WEIGHTS,
}


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the sets that the recipes name."""
    home = tmp_path_factory.mktemp("home")
    furnish(home)
    talks = rows_of(home, "sft")
    pairs = [{**row, "conversations": row["conversations"][:1], "chosen": row["conversations"][1],
              "rejected": {"from": "gpt", "value": "42"}} for row in talks]  # fmt: skip
    asked = [row["conversations"][0]["value"] for row in talks]
    said = [row["conversations"][1]["value"] for row in talks]
    rewrite(home, "dpo", pairs)
    system = [row.get("system") for row in talks]
    rewrite(
        home,
        "alpaca",
        [
            {"instruction": question, "input": "", "output": answer, "system": head}
            for question, answer, head in zip(asked, said, system, strict=True)
        ],
    )
    rewrite(home, "more", talks)
    # With and without a byte order mark, which editors of Windows put before a text.
    more = home / "datasets" / "small" / "more" / "train.jsonl"
    more.write_bytes(b"\xef\xbb\xbf" + more.read_bytes())
    rewrite(home, "bare", [{"conversations": row["conversations"]} for row in talks])
    rewrite(home, "text", [{"text": f"{question} {answer}"} for question, answer in zip(asked, said, strict=True)])
    shards = home / "datasets" / "small" / "shards"
    shards.mkdir()
    for number, half in enumerate((talks[:8], talks[8:])):
        lines = "".join(
            json.dumps({"conversations": row["conversations"], "system": row["system"]}) + "\n" for row in half
        )
        (shards / f"part-{number}.jsonl").write_text(lines, encoding="utf-8")
    (home / "datasets" / "small" / "table.csv").write_text("instruction,input,output\n2 + 2?,,4\n", encoding="utf-8")
    shutil.copytree(home / "model", home / "base")
    (home / "base" / "chat_template.jinja").unlink()
    clone = home / "datasets" / "clone"
    (clone / "data").mkdir(parents=True)
    parquet.write_table(pa.Table.from_pylist(rows_of(home, "grpo")), clone / "data" / "train-00000-of-00001.parquet")
    card = "configs:\n- config_name: sums\n  data_files:\n  - split: train\n    path: data/train-*\n"
    (clone / "README.md").write_text(f"---\n{card}---\n# Sums\n", encoding="utf-8")
    register(
        home,
        small_sft=entry("datasets/small/sft/train.jsonl"),
        small_more={"file_name": "datasets/small/more/train.jsonl", "formatting": "sharegpt"},
        small_alpaca={
            "file_name": "datasets/small/alpaca/train.jsonl",
            "columns": {"prompt": "instruction", "query": "input", "response": "output", "system": "system"},
        },
        small_bare={"file_name": "datasets/small/bare/train.jsonl", "formatting": "sharegpt"},
        small_text={"file_name": "datasets/small/text/train.jsonl", "columns": {"prompt": "text"}},
        small_folder=entry("datasets/small/shards"),
        small_table={"file_name": "datasets/small/table.csv"},
        small_dpo=entry("datasets/small/dpo/train.jsonl", ranking=True),
    )
    return home


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
def test_nothing_is_to_be_mended(text: str, furnished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINR1_HOME", str(furnished))
    file = furnished / "recipe.yaml"
    file.write_bytes(text.encode())
    shutil.rmtree(furnished / "saves", ignore_errors=True)
    asked = recipe.load(str(file), [])
    kind = "grpo" if "reward_funcs" in text else "sft"
    assert kind_of(asked, str(file)) == kind
    found = look_over(kind, asked, Place(named_machine("2x80"), furnished)).findings
    assert [each.said for each in of(found, State.MISTAKE, State.LACKING)] == []
    # It was really looked at: the text's own number of rows is among what holds.
    assert re.search(r"\b16\b", " ".join(each.said for each in of(found, State.HOLDS)))
