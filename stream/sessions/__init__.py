"""Sessions: one liveness check that an app server asks for, from its command to its end.

1. `session_record`  what was agreed when a session was created
2. `session`         a session as the store holds it: attempts, outcomes, end; pure
3. `session_store`   the port to the store, and a store in memory
4. `creating`        a session from a command: drawn, checked for risk, signed
5. `gate`            token and session of a submission, at admission
6. `ledger`          what a decision does to its session
7. `expiry`          sessions whose token has expired
"""
