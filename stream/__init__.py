"""The processor: submissions from Kafka, one decision for each back to Kafka.

The main path, in order, each stage in the file of its name:

1. `intake`        bytes of a record -> Submission, Rejected (it can be answered) or Poison (it can't)
2. `admission`     decided before? other content under a used id? flagged (`abuse.rules.gate`)? then no detection is paid for
3. `detect_stage`  one picture to a slot process and back (`detectors.pool`); `detection_codec` hands it on
4. `aggregation`   readings -> confidence
5. `verdict`       confidence and policy -> LIVE, SPOOF or INCONCLUSIVE, with reasons; `advice` for the person
6. `abuse_stage`   the table learns what happened, the rules speak (`abuse`)
7. `decision`      the published event
8. `decide_stage`  first writer wins (`decision_store`), so that duplicates are the same bytes
9. `publishing`    confirmed, or not acknowledged; `dead_letter` for what can't be answered

Beside it, what people decide: `commands` -> `command_stage` (`abuse.review.reviews`) -> audit topic; `sweeper` ends flags,
`rebuild` makes the table anew, `notify` posts flags to a webhook.

Around it: `messages` are the values that flow, `topics` the table of topics, `agents` and `acks` the way from a Faust
stream to in-order acknowledgements, `record_reading` gets past any batch a broker can store, `patience` waits for what
is away, `worker` is the life of a process, `bootstrap` puts everything together (with
`abuse_parts` and `model_parts`), `cli` is the command line, `embedded` the broker and store of the demo.
"""
