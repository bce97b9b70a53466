"""sft stack: what LLaMA-Factory's own parser, loader and converter make of sets, by its own settings.

Usage: read_registry.py DATASET_DIR STAGE NAME... ; the last line is {name: [aligned rows]} as JSON.
"""

import json
import sys

from llamafactory.data.loader import _get_merged_dataset
from llamafactory.hparams import DataArguments, ModelArguments
from transformers import Seq2SeqTrainingArguments

folder, stage, *names = sys.argv[1:]
data = DataArguments(dataset_dir=folder, overwrite_cache=True)
model = ModelArguments(model_name_or_path="unused")
training = Seq2SeqTrainingArguments(output_dir="unused")
found = _get_merged_dataset(names, model, data, training, stage, return_dict=True)
print("\n" + json.dumps({name: list(rows) for name, rows in found.items()}))
