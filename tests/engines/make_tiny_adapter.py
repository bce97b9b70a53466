"""sft stack: a LoRA adapter of random weights, and the base with it merged by PEFT. Usage: make_tiny_adapter.py BASE ADAPTER MERGED."""

import sys

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

base, adapter, merged = sys.argv[1:]
torch.manual_seed(1)
# Without PEFT's own start from B = 0 the adapter changes what the model says.
config = LoraConfig(r=4, lora_alpha=64, target_modules=["q_proj", "v_proj", "down_proj"], init_lora_weights=False)
model = get_peft_model(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), config)
model.save_pretrained(adapter)
model.merge_and_unload().save_pretrained(merged)
