"""sft stack: turn a GGUF file into a folder that every transformers version loads. Usage: unpack_gguf.py GGUF OUT."""

import json
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

gguf, out = Path(sys.argv[1]), Path(sys.argv[2])
model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
# bf16 holds all that a 4-bit file knows, at half the size.
model.to(torch.bfloat16).save_pretrained(out)
tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
tokenizer.save_pretrained(out)

# Two mends. Transformers 5 names a tokenizer class that transformers 4 does not know; the fast class is known to
# all. And it takes the beginning for the end of a turn: a server would then never stop. The model's own
# configuration has the right ids.
ids = {role: getattr(model.config, f"{role}_token_id") for role in ("bos", "eos", "pad")}
settings = {f"{role}_token": tokenizer.convert_ids_to_tokens(number) for role, number in ids.items()}
settings |= {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "model_max_length": model.config.max_position_embeddings,
    "clean_up_tokenization_spaces": False,
}
(out / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
