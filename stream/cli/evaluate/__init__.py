"""`liveness evaluate`: error rates on labelled pictures, and their tables."""

from stream.cli.evaluate.evaluating import command

__all__ = ["command"]
