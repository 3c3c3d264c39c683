"""`liveness bench`: cost of the whole path against the floor, the bare analysis that no path can save.

In order: `photographs` makes selfie files, `installation` gives a broker, a store and topics of the
benchmark's own, `measurement` runs the rounds of one size, `report` is what is printed. The work is done by
child processes, each spoken to through `child`: one plain process a core for the floor (`floor`,
`floor_process`), a real `liveness worker`, and a load generator (`load`, `load_process`) that follows a
`schedule`. `accounting` reads what every process used.

Floor and path alternate, round by round, because a shared machine is not the same machine a minute later:
what counts is the ratio within a pair of rounds.

On configured services it works behind prefixes of its own (`redis_room`). `tests/bench` measures Redis as it grows.
"""
