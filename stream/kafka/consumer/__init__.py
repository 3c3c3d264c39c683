"""The Faust consumer: from a partition's bytes to an agent's queue, and from acknowledgements to commits.

`app` is the Faust application, `transport` its settings beyond Faust's own, `assignment` shares the partitions.
`positions` keeps to what the log still has, `acks` commits in order, `progress` tells how far a worker is. `begun`
saves tasks.
"""
