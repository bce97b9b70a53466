"""A served model: its recipe, the engine's command, its health, and how it is brought back."""
