"""Detection: the pictures of a submission go to slot processes and come back as one detection.

`fair_turns` chooses the next of the submissions that wait, `detect_stage` is the stage.
"""
