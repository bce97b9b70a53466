"""Short programs that run inside another stack; they import that stack's engine and nothing of the kit's own stack."""
