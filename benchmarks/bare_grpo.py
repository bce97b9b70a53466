"""What one would write by hand: TRL's GRPO trainer on a recipe's own keys. `launch.py` times `finr1 grpo` against it."""

from trl import GRPOConfig, GRPOTrainer, ModelConfig, ScriptArguments, TrlParser

from datasets import load_dataset
from reward_plugins.rewards import finance_accuracy, finance_format

script, training, model = TrlParser((ScriptArguments, GRPOConfig, ModelConfig)).parse_args_and_config()
data = load_dataset(script.dataset_name)["train"]
trainer = GRPOTrainer(model.model_name_or_path, [finance_accuracy, finance_format], training, data)
trainer.train()
trainer.save_model()
trainer.save_state()
