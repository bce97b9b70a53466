"""Near duplicates, and contamination of training questions by test sets."""

from distill.overlap.stage import Settings, run

__all__ = ["Settings", "run"]
