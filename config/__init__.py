"""Settings and policy: what an operator can change, typed, checked at start-up, and printed with secrets masked.

Read `error_codes` (the closed table of answers to bad input), `detector_catalogue` (the signals and their
default weights), `policy` (thresholds, weights and deadlines that shape a verdict; `policy.toml` is the shipped
one), then `settings` (connections and sizes; `legal_values` of single settings, variables of the `environment`).
"""
