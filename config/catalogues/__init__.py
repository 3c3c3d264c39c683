"""Catalogues: signals, networks, indications of injection, challenges and error codes, each by name."""
