"""Commands of reviewers, from the topic to audited outcomes.

`commands` reads a command event, `command_stage` carries the command out, `command_client` sends one and waits for
the answer.
"""
