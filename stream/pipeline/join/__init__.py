"""Join: what arrives in parts (a record a frame, results of detector groups) becomes one detection, once.

`join` is the way through, `pending` the port of waiting parts, `joined` makes a closed set's parts one detection,
`group_parts` reads the records of detector groups.
"""
