"""sft stack: what LLaMA-Factory's template makes of conversations, token for token.

Usage: render_sft.py MODEL TEMPLATE < conversations.json. A conversation is a list of {role, content}; the answer is
a list of {prompt_ids, response_ids}.
"""

import json
import sys

from llamafactory.data.template import get_template_and_fix_tokenizer
from llamafactory.hparams import DataArguments
from transformers import AutoTokenizer

model, template_name = sys.argv[1:3]
tokenizer = AutoTokenizer.from_pretrained(model)
template = get_template_and_fix_tokenizer(tokenizer, DataArguments(template=template_name))
answers = []
for turns in json.load(sys.stdin):
    system = turns[0]["content"] if turns[0]["role"] == "system" else None
    talk = turns[1:] if system is not None else turns
    prompt, response = template.encode_oneturn(tokenizer, talk, system)
    answers.append({"prompt_ids": prompt, "response_ids": response})
print("\n" + json.dumps(answers))
