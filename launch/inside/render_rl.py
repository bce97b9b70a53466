"""rl stack: what a rollout, the server and the evaluation send to the model: the tokenizer's own chat template.

Usage: render_rl.py MODEL < conversations.json; the answer is a list of {prompt_ids, response_ids, tokens}.
"""

import json
import sys

from transformers import AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
answers = []
for turns in json.load(sys.stdin):
    prompt = tokenizer.apply_chat_template(turns[:-1], add_generation_prompt=True, return_dict=False)
    whole = tokenizer.apply_chat_template(turns, return_dict=False)
    response = whole[len(prompt) :] if whole[: len(prompt)] == prompt else whole
    tokens = [tokenizer.decode([number]) for number in prompt + response]
    answers.append({"prompt_ids": prompt, "response_ids": response, "tokens": tokens})
print("\n" + json.dumps(answers))
