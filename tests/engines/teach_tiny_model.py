"""rl stack: teach a small model to answer by heart. Usage: teach_tiny_model.py MODEL OUT < conversations.json

Standard input is a JSON list of conversations (lists of chat messages, the last one the assistant's). The model learns
what it is to say and nothing else; a prompt with two replies is answered by either.
"""

import json
import shutil
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

STEPS, RATE = 150, 5e-3  # enough for some forty tokens that never change; seconds on one core

taught, out = Path(sys.argv[1]), Path(sys.argv[2])
tokenizer = AutoTokenizer.from_pretrained(taught)
model = AutoModelForCausalLM.from_pretrained(taught, dtype=torch.float32)
rows = []
for talk in json.load(sys.stdin):
    prompt = tokenizer.apply_chat_template(talk[:-1], add_generation_prompt=True, return_dict=False)
    reply = [*tokenizer.encode(talk[-1]["content"], add_special_tokens=False), tokenizer.eos_token_id]
    rows.append((prompt + reply, [-100] * len(prompt) + reply))
longest = max(len(ids) for ids, _ in rows)
ids = torch.tensor([ids + [tokenizer.pad_token_id] * (longest - len(ids)) for ids, _ in rows])
labels = torch.tensor([labels + [-100] * (longest - len(labels)) for _, labels in rows])
optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
torch.manual_seed(0)
said = labels[:, 1:] != -100
for _ in range(STEPS):
    # A vocabulary of 49,152 words makes the last layer nearly all of the work: it is asked about the replies only.
    seen = model.model(input_ids=ids).last_hidden_state[:, :-1][said]
    loss = torch.nn.functional.cross_entropy(model.lm_head(seen), labels[:, 1:][said])
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
model.save_pretrained(out)
for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
    shutil.copyfile(taught / name, out / name)
print(f"loss {loss.item():.3f} after {STEPS} steps")
