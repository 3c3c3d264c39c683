"""From the bytes of one picture to the readings of every signal; knows neither Kafka nor Redis.

In order: `image_gate` (is it safe to decode; `containers/` read the headers, `exif` the camera's tags),
`frame` (decode once, at one working size), `face_mesh/` (landmarks and head pose, once), `framing` (one
face, well placed), `signals/` (one file a signal, all on the same frame), `template/` (the face as numbers
that compare), `picture_hash` (the picture as bits that are found again), `analysis` (these steps in a row),
`pool` (the slot processes the steps run in). Beside them: `contract` (what comes out), `catalogue`
(names and labels), `models` (files and hashes), `annotation` (a drawing of what was seen).
"""
