"""Injection indications: what a picture's file tells of the way on which the picture came, no face needed.

`embedded` reads the metadata of a file once, and `checks` is the list of checks on it: `software` (names of programs),
`declarations` (XMP, C2PA and generators' text), `sizes` (screens, generators, EXIF), `quantization` (JPEG tables
against the camera named), `capture_times` (EXIF against the submission's times). Two need pixels: `thumbnail` (EXIF's
small copy against the picture) and `generator_framing` (the place of the face). A check is a pure function; none says
that a picture is genuine, since metadata can be removed and forged.
To add an indication: a check, its line in `checks.CHECKS`, and a line in `config.catalogues.injection`.
"""
