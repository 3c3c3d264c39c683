"""The processor: submissions from Kafka, one decision for each back to Kafka.

The rooms, each of which imports only those before it:

- `runtime`      what any process needs
- `events`       what is said on the wire
- `pipeline`     the main path, stage by stage: start reading here
- `kafka`        records in, confirmed outputs out
- `redis`        adapters of the stores
- `review`       commands of reviewers
- `notify`       flag events to a webhook
- `maintenance`  expiry, re-keying, rebuilding, retention
- `bootstrap`    the composition root
- `embedded`, `demo`, `bench`, `cli`  broker and store for a first look, the demo, the measurements, the command line
"""
