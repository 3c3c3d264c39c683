"""`liveness submit`: pictures and the frames of active checks, published as a client does."""

from stream.cli.submit.submitting import command

__all__ = ["command"]
