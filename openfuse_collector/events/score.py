"""The value of a score as its columns: typed by `dataType`, or by the value where no type is given.

What needs a score config (its name, label values, ranges) is enrichment. Both follow Langfuse's `validateAndInflateScore`.
"""

from __future__ import annotations

from typing import Any

_EMPTY = {"string_value": None, "long_string_value": ""}


def typed_value(body: dict[str, Any]) -> dict[str, Any] | None:
    """`data_type`, `value`, `string_value` and `long_string_value` of a score body, None when the value does not fit."""
    value, data_type = body.get("value"), body.get("dataType")
    number, text = _is_number(value), type(value) is str
    if data_type is None:
        data_type = "CATEGORICAL" if text else "NUMERIC"
    if data_type == "NUMERIC" and number:
        return {**_EMPTY, "data_type": data_type, "value": value}
    if data_type == "BOOLEAN" and number and value in (0, 1):
        return {**_EMPTY, "data_type": data_type, "value": value, "string_value": "True" if value else "False"}
    if data_type == "CATEGORICAL" and text:
        return {**_EMPTY, "data_type": data_type, "value": 0, "string_value": value}
    if data_type == "CATEGORICAL" and number and type(body.get("stringValue")) is str:
        # Snapshots carry the inflated row: the label and the number its config gives it.
        return {**_EMPTY, "data_type": data_type, "value": value, "string_value": body["stringValue"]}
    if data_type == "TEXT" and text:
        return {**_EMPTY, "data_type": data_type, "value": 0, "string_value": value}
    if data_type == "CORRECTION" and text:
        return {**_EMPTY, "data_type": data_type, "value": 0, "long_string_value": value, "name": "output"}
    return None


def _is_number(value: Any) -> bool:
    return type(value) is int or (type(value) is float and value == value and abs(value) != float("inf"))
