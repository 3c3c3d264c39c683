"""Commands of reviewers, from the topic to audited outcomes.

1. `command_client`  the sending side: publishes a command and waits for the answer
2. `commands`        bytes of a record -> a command of `kinds`, an invalid one (answered) or Poison
3. `command_stage`   plan, keep (`kept_command`), carry out, append to the audit chain, publish
4. `queries`         what a reviewer looks at before a decision, in pages; `session_queries` the same of sessions
"""
