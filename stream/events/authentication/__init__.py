"""Authenticity of records: the MAC of what workers write for workers, those of detector groups, and what is forged."""
