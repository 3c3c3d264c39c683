"""Messages as records on a topic: envelope, codecs, what publishers send, flag and session events, dead letters."""
