"""Face templates: numbers by which one person's pictures lie near each other, made from a face on its frame.

In order: `quality` (is this view good enough), `detectors.alignment` (cut the face out, upright), `port` (what
is known of a model), `onnx_model` (chip in, template out: any such network in onnxruntime),
`extraction` (these in a row). Where models come from: `built_in` (dlib's network, which `dlib_resnet` converts with
`detectors.onnx` at set-up), `manifest` (one of your own), `opening` (from the setting to either). How far templates
lie apart: `impostors` (mathematics), `calibration` (measured on labelled photographs; `calibration.toml`).

Only slot processes import `onnx_model`, and with it onnxruntime. dlib's network takes 3.6 to 3.9 ms a
face on one thread (in its own library 53) and 75 to 85 MiB a slot, the chip 0.1 to 0.5 ms. The chip, cut from the
mesh's landmarks, gives templates within 0.05 of those of dlib's own cutter at the same landmarks, where two
photographs of one person are 0.34 to 0.43 apart (M, `python -m tests.bench.slot_profile`,
`tests/unit/detectors/test_alignment.py`).
"""

from detectors.template.opening import TemplateModelUnusable, TemplateSource, describe, load, open_template
from detectors.template.port import TemplateSpec

__all__ = [
    "TemplateModelUnusable",
    "TemplateSource",
    "TemplateSpec",
    "describe",
    "load",
    "open_template",
]
