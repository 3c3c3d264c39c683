"""Verdict: readings, indications and a policy become LIVE, SPOOF or INCONCLUSIVE. Pure.

In order: `aggregation` makes readings a confidence, `injection` indications a flag, `verdict` both a verdict, with
`reasons` and `advice` for the person. `active_verdict` judges an active check, `session_verdict` a detection by the
terms of its session, `group_gate` lowers a verdict by other processes' readings. `interpretation`, `counterfactuals`
and `liveness_result` explain what was found.
"""
