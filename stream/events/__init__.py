"""Values and wire formats: messages, identifiers, topics and codecs. Neither Kafka nor Redis is known here.

`messages` are the values that flow, `ids` their identifiers, `topics` the table of topics, `cloud_events` the
envelope, `submissions` what a publisher sends, `detection_codec` the internal detection, `flag_output` flag events,
`dead_letter` records that can't be used.
"""
