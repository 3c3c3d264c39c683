"""Work on what is stored: expiry, re-keying, rebuilding, and the list of everything kept.

`sweeper` publishes the expiry of flags, `rekeying` moves templates to a new key, `rebuild` makes the abuse table anew
from the topics (`rebuild_records` reads them), `retention` lists each store with its lifetime.
"""
