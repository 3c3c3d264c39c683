"""ONNX' protobuf messages, as far as networks are written and rewritten here; other fields stay as they are.

Names and numbers are those of onnx/onnx.proto (ONNX 1.x, IR version 8). The `onnx` package has the same messages, with
15 MB more in every installation.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_INT, _TEXT, _BYTES = (
    descriptor_pb2.FieldDescriptorProto.Type.Value(f"TYPE_{name}") for name in ("INT64", "STRING", "BYTES")
)
_PACKAGE = "liveness.onnx"
#: Fields of each message: name, number and type, which is a message by its name; in a list where the field repeats. The
#: graphs inside a node are bytes, which nobody looks into.
_FIELDS: dict[str, tuple[tuple[str, int, Any], ...]] = {
    "Model": (
        ("ir_version", 1, _INT),
        ("producer_name", 2, _TEXT),
        ("graph", 7, "Graph"),
        ("opset_import", 8, ["Opset"]),
    ),
    "Opset": (("domain", 1, _TEXT), ("version", 2, _INT)),
    "Graph": (
        *(("node", 1, ["Node"]), ("name", 2, _TEXT), ("initializer", 5, ["Tensor"])),
        *(("input", 11, ["Value"]), ("output", 12, ["Value"]), ("value_info", 13, ["Value"])),
    ),
    "Node": (
        *(("input", 1, [_TEXT]), ("output", 2, [_TEXT]), ("name", 3, _TEXT), ("op_type", 4, _TEXT)),
        *(("attribute", 5, ["Attribute"]), ("domain", 7, _TEXT)),
    ),
    "Attribute": (
        *(("name", 1, _TEXT), ("i", 3, _INT), ("g", 6, _BYTES), ("ints", 8, [_INT])),
        *(("graphs", 11, [_BYTES]), ("type", 20, _INT)),
    ),
    "Tensor": (("dims", 1, [_INT]), ("data_type", 2, _INT), ("name", 8, _TEXT), ("raw_data", 9, _BYTES)),
    "Value": (("name", 1, _TEXT), ("type", 2, "ValueType")),
    "ValueType": (("tensor_type", 1, "TensorType"),),
    "TensorType": (("elem_type", 1, _INT), ("shape", 2, "Shape")),
    "Shape": (("dim", 1, ["Dimension"]),),
    "Dimension": (("dim_value", 1, _INT),),
}


def _made() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="liveness/onnx.proto", package=_PACKAGE, syntax="proto2")
    for name, fields in _FIELDS.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            repeated, kind = (3, kind[0]) if isinstance(kind, list) else (1, kind)  # LABEL_REPEATED, LABEL_OPTIONAL
            of_message = {"type_name": f".{_PACKAGE}.{kind}"} if isinstance(kind, str) else {"type": kind}
            message.field.add(name=field, number=number, label=repeated, **of_message)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _FIELDS}


_MADE = _made()
Model, Graph, Node, Tensor = (_MADE[name] for name in ("Model", "Graph", "Node", "Tensor"))
