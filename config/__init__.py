"""Settings and policy: what an operator can change, typed, checked at start-up, and printed with secrets masked.

Read `catalogues/` (error codes, signals, networks, indications of injection, challenges), `policy` (what shapes a
verdict, put together from `limits/`; the files that ship are in `policies/`), then `settings` (connections and sizes,
put together from `groups/`; `legal_values` of single settings, variables of the `environment`).
"""
