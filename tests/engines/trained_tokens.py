"""sft stack: how many tokens LLaMA-Factory's template makes of conversations.

Usage: trained_tokens.py MODEL TEMPLATE < conversations.json ; the last line is a JSON list of counts.
"""

import json
import sys

from llamafactory.data.template import get_template_and_fix_tokenizer
from llamafactory.hparams import DataArguments
from transformers import AutoTokenizer

model, name = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(model)
template = get_template_and_fix_tokenizer(tokenizer, DataArguments(template=name))
talks = json.load(sys.stdin)
print(
    "\n"
    + json.dumps([sum(map(len, template.encode_oneturn(tokenizer, talk[1:], talk[0]["content"]))) for talk in talks])
)
