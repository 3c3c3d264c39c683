"""Decision: one detection in, the stored and published decision out.

`decide_stage` is the stage. `abuse_stage` records the observation and asks the rules, `decision` is the published
event, `event_builders` make the events that follow, `session_ledger` is the port to the session. `frame_replay` finds
frames of another session, `replays` detections that are played again.
"""
