"""`liveness notify`: post abuse flags to the configured receiver; until told to stop."""

from __future__ import annotations

from config import settings as configuration
from stream.notify import process


def command() -> None:
    """Post every abuse flag to webhook.url, signed. Ends with exit 2 unless webhook.url and webhook.secret are set."""
    process.run(configuration.load())
