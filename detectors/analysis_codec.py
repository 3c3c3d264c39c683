"""`Analysis` to bytes and back, in JSON and by the contract's own dataclasses only.

The bytes come from a slot process, whose native decoder has read a stranger's picture, or from a topic.
Neither may run code here (hence no pickle) nor smuggle anything past the contract: an unknown or missing
field, a wrong type, a number that isn't finite or is out of range, a control character or too much of
anything raises `MalformedAnalysis`. Its words name the field and never quote the value.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated

from pydantic import AfterValidator, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from config.strict_json import broken, faults
from detectors.contract import Analysis, Indication, ModelVersion, PictureHashes, Reading, Template
from detectors.contract_measures import FrameMeasures, RegionLight

#: Many times a full answer (eight readings are about 3 KB, the largest template 5.5 KB, measures 6 KB), and little
#: enough to parse at once.
MAX_BYTES = 128 * 1024

#: Every dataclass of an analysis, and the names of all their fields, for what is said of a refused one.
KINDS = (
    *(Analysis, Reading, ModelVersion, Template, PictureHashes, Indication),
    *(FrameMeasures, RegionLight),
)
FIELDS = frozenset(field.name for kind in KINDS for field in fields(kind))


class MalformedAnalysis(ValueError):
    """Bytes (or an object) that are no `Analysis` the contract allows."""


def _coherent(analysis: Analysis) -> Analysis:
    """The analysis, if the rules between its fields hold."""
    if analysis.error is not None and analysis.readings:
        raise broken("readings beside an error")
    if len({reading.name for reading in analysis.readings}) != len(analysis.readings):
        raise broken("two readings of one name")
    if analysis.error is not None and (analysis.template is not None or analysis.picture is not None):
        raise broken("a template or a picture's hashes beside an error")
    if analysis.error is not None and analysis.measures is not None:
        raise broken("measures beside an error")
    if len({each.code for each in analysis.indications}) != len(analysis.indications):
        raise broken("two indications of one code")
    if analysis.template is not None and analysis.template_reason:
        raise broken("a template, and a reason why there is none")
    return analysis


#: For a larger message's model to embed.
CheckedAnalysis = Annotated[Analysis, AfterValidator(_coherent)]
_ANALYSIS: TypeAdapter[Analysis] = TypeAdapter(CheckedAnalysis)


def encode(analysis: Analysis) -> bytes:
    """JSON of a valid analysis; raises MalformedAnalysis for one that `decode` would refuse."""
    try:
        encoded = _ANALYSIS.dump_json(analysis, warnings=False)  # what is wrong is found by reading it
    except PydanticSerializationError:
        raise MalformedAnalysis("a field that JSON has no type for") from None
    decode(encoded)
    return encoded


def decode(encoded: bytes | bytearray | memoryview) -> Analysis:
    """The analysis in these bytes, or MalformedAnalysis."""
    if len(encoded) > MAX_BYTES:
        raise MalformedAnalysis("too many bytes")
    try:
        return _ANALYSIS.validate_json(bytes(encoded))
    except ValidationError as error:
        raise MalformedAnalysis(f"missing, unknown or malformed: {faults(error, FIELDS, 'analysis')}") from None
