"""The composition root: the one room that knows all others and turns settings into connected components.

`worker` builds a worker from the parts of its roles (`detect_role`, `decide_role`, `command_role`), over what these
share (`shared`) and the slot pool (`slots`); `notifier` builds the notifier. `abuse` makes the components of the abuse
table, `sessions` those of sessions, `models` finds the model files in use, `abuse_table` is what the command line needs
to look at the table.
"""
