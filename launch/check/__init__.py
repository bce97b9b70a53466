"""What can be known of a recipe before a model is loaded."""

from launch.check.strings import *  # noqa: F403
