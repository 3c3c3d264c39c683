"""Presentation-attack networks: learned detectors that read the face and what surrounds the face.

`manifest` reads the description of a network of your own, `crops` cuts what a network was trained on, `network` runs
one and turns the answer into a reading, `opening` finds files and checks their hashes. The networks that are described
ready to use are in `config.catalogues`, the fusion of their answers in `stream.pipeline.verdict.aggregation`.
"""

from detectors.pad.opening import FETCH, PadNetworkUnusable, PadSource, load, open_networks, sources

__all__ = ["FETCH", "PadNetworkUnusable", "PadSource", "load", "open_networks", "sources"]
