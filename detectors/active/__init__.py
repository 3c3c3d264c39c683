"""Active liveness: measures of one frame, made in slot processes, and the assessment of a row of frames.

`measuring` and what it calls read pixels and run in slots; `assessment` and what it calls are pure and run in the
worker.
"""
