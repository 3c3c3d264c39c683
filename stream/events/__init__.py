"""Values and wire formats. Neither Kafka nor Redis is known here.

`message` has the values that flow and their identifiers, `wire` their forms as records, `authentication` how workers
know each other's records, `topics` the table of topics.
"""
