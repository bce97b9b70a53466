"""Is this finance answer right, and the rewards made of it."""
