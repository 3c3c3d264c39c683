"""The composition root: the one room that knows all others and turns settings into connected components.

`worker` builds a worker, `abuse` the components of the abuse table, `models` the model files in use, `abuse_table`
what the command line needs to look at the table.
"""
