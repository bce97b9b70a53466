"""compress stack: quantise a model by llm-compressor. Reads a job as JSON from standard input, see `launch.serving.compress`."""

import json
import sys

import yaml
from llmcompressor import oneshot
from transformers import AutoTokenizer

from datasets import Dataset

job = json.load(sys.stdin)
tokenizer = AutoTokenizer.from_pretrained(job["model"])
rows = []
for messages in job["conversations"]:
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    # The template has written the special tokens already.
    rows.append(dict(tokenizer(text, add_special_tokens=False, truncation=True, max_length=job["max_length"])))
oneshot(
    model=job["model"],
    dataset=Dataset.from_list(rows),
    recipe=yaml.safe_dump({"quant_stage": {"quant_modifiers": job["modifiers"]}}, sort_keys=False),
    max_seq_length=job["max_length"],
    num_calibration_samples=len(rows),
    output_dir=job["out"],
)
