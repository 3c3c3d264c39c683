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

import os

#: Matrices in this process are small (128 by 128 numbers, to rotate a template). More threads of the linear algebra
#: library make one in forty times the processor time (measured on two cores). The library reads the variable when NumPy
#: is first imported; a value that the operator has set stays.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
