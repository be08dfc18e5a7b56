"""The protobuf messages of greptime.v1 that a row writer uses, built at run time from their field numbers.

Only what the double reads or answers is declared; protobuf skips the rest. Members of Value are named after the column types, so
that the name of the set member says the type. A message in `Values` holds the non-null values of one column in a columnar request.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from tests.greptimedb_double.datatypes import KINDS

PACKAGE = "greptime.v1"
DATABASE_SERVICE = "greptime.v1.GreptimeDatabase"
HEALTH_SERVICE = "greptime.v1.HealthCheck"
SEMANTICS = ("TAG", "FIELD", "TIMESTAMP")

Fields = tuple[tuple[str, int, str], ...]  # name, number, type; a type ending in * is repeated

MESSAGES: dict[str, Fields] = {
    "Basic": (("username", 1, "string"), ("password", 2, "string")),
    "AuthHeader": (("basic", 1, "Basic"), ("token", 2, "string")),
    "RequestHeader": (
        ("catalog", 1, "string"),
        ("schema", 2, "string"),
        ("authorization", 3, "AuthHeader"),
        ("dbname", 4, "string"),
    ),
    "GreptimeRequest": (
        ("header", 1, "RequestHeader"),
        ("deletes", 5, "DeleteRequests"),
        ("row_inserts", 6, "RowInsertRequests"),
        ("row_deletes", 7, "RowDeleteRequests"),
    ),
    "RowInsertRequests": (("inserts", 1, "RowRequest*"),),
    "RowDeleteRequests": (("deletes", 1, "RowRequest*"),),
    "RowRequest": (("table_name", 1, "string"), ("rows", 2, "Rows")),
    "Rows": (("schema", 1, "ColumnSchema*"), ("rows", 2, "Row*")),
    "Row": (("values", 1, "bytes*"),),  # each the bytes of a Value: decoding them is the writer's hot path
    "ColumnSchema": (
        ("column_name", 1, "string"),
        ("datatype", 2, "int32"),
        ("semantic_type", 3, "int32"),
        ("datatype_extension", 4, "DataTypeExtension"),
    ),
    "DataTypeExtension": (("decimal", 1, "DecimalExtension"),),
    "DecimalExtension": (("precision", 1, "int32"), ("scale", 2, "int32")),
    "Decimal128": (("hi", 1, "int64"), ("lo", 2, "int64")),
    "DeleteRequests": (("deletes", 1, "DeleteRequest*"),),
    "DeleteRequest": (("table_name", 1, "string"), ("key_columns", 3, "Column*"), ("row_count", 4, "uint32")),
    "Column": (
        ("column_name", 1, "string"),
        ("semantic_type", 2, "int32"),
        ("values", 3, "Values"),
        ("null_mask", 4, "bytes"),
        ("datatype", 5, "int32"),
        ("datatype_extension", 6, "DataTypeExtension"),
    ),
    "GreptimeResponse": (("header", 1, "ResponseHeader"), ("affected_rows", 2, "AffectedRows")),
    "ResponseHeader": (("status", 1, "Status"),),
    "Status": (("status_code", 1, "uint32"), ("err_msg", 2, "string")),
    "AffectedRows": (("value", 1, "uint32"),),
}
_MEMBERS: Fields = tuple((name, kind.field, kind.wire) for name, kind in KINDS.items() if name != "Json")
MESSAGES["Values"] = tuple((name, number, wire + "*") for name, number, wire in _MEMBERS)

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    name: getattr(_Field, f"TYPE_{name.upper()}")
    for name in ("bool", "int32", "int64", "uint32", "uint64", "float", "double", "bytes", "string")
}


def _add_field(message: descriptor_pb2.DescriptorProto, name: str, number: int, type_name: str) -> Any:
    field = message.field.add(name=name, number=number, label=_Field.LABEL_OPTIONAL)
    if type_name.endswith("*"):
        field.label = _Field.LABEL_REPEATED
    scalar = type_name.rstrip("*")
    field.type = _SCALARS.get(scalar, _Field.TYPE_MESSAGE)
    if scalar not in _SCALARS:
        field.type_name = f".{PACKAGE}.{scalar}"
    return field


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="greptimedb_double.proto", package=PACKAGE, syntax="proto3")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field in fields:
            _add_field(message, *field)
    value = file.message_type.add(name="Value")
    value.oneof_decl.add(name="value")
    for member in _MEMBERS:
        _add_field(value, *member).oneof_index = 0
    return file


_POOL = descriptor_pool.DescriptorPool()
_POOL.Add(_file())


_CLASSES: dict[str, Any] = {
    name: message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{PACKAGE}.{name}"))
    for name in (*MESSAGES, "Value")
}
"""Made here and now: protobuf makes a class when a message first reads such a field, and crashes when several threads do so at a time."""


def message(name: str) -> Any:
    """The message class of that name in greptime.v1."""
    return _CLASSES[name]


Value = message("Value")
GreptimeRequest = message("GreptimeRequest")
GreptimeResponse = message("GreptimeResponse")
