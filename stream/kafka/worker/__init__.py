"""The worker's process: `worker` orders start and stop of its components, `run` keeps it until a signal stops it."""
