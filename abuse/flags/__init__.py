"""Flags: findings of rules about a subject, as events that happen once.

`flags` are the values and the state that events add up to, `flag_events` their published and stored form, `mentions`
the correlation ids that their evidence names.
"""
