"""The demo: real photographs, simulated attacks and bad inputs, sent through an embedded installation.

`attacks` and `bad_inputs` make the pictures, `scenario` lists what is sent, `play` sends it and waits.
"""
