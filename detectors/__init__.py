"""Detectors: from the bytes of one frame to the readings of every signal, without Kafka and Redis.

In order: `image_gate` (is it safe to decode; `containers/` read the headers, `exif` the camera's tags), `frame`
(decode once, at one working size; `decoding` refuses what isn't whole or opaque), `face_mesh/` (landmarks and head
pose, once), `framing` (one face, well placed), `signals/` (one file a signal, all on the same frame), `alignment`
(the face cut out, upright), `template/` (the face as numbers that compare), `picture_hash` (the picture as bits that
are found again), `analysis` (these steps in a row), `pool` (the slot processes the steps run in). Beside them:
`contract` (frames in, analyses out), `catalogue` (labels of the signals), `models`
(files and hashes), `onnx/` (networks of any kind), `annotation` (a drawing of a framed face).
"""
