"""sft or rl stack: the keys that an engine's recipe may have. Usage: keys.py sft|rl; answers a JSON list."""

import dataclasses
import json
import sys

if sys.argv[1] == "sft":
    from llamafactory.hparams.parser import _TRAIN_ARGS as KINDS
else:
    from trl import GRPOConfig, ModelConfig, ScriptArguments

    KINDS = (ScriptArguments, GRPOConfig, ModelConfig)
print("\n" + json.dumps(sorted({field.name for kind in KINDS for field in dataclasses.fields(kind)})))
