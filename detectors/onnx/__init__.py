"""Neural networks as ONNX files, whatever they are for: face templates today, learned signals next.

`manifest` reads the TOML that describes a network of your own, `files` reads a model file whose SHA-256 is
known and writes one in a single step, `network` runs a model on one thread, `graph_writer` makes a file from
weights in another format, `blocked_layout` rewrites a network when it is opened, `messages` are what files are made of.
Only `network` imports onnxruntime, and only slot processes import `network`.
"""
