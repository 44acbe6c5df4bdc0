"""The schema of a record type, read once from a JSON Schema file.

`jsonschema_rs` decides, in 0.4 us. `jsonschema` explains a refusal, in 23 us. Both read the same
file and check formats. `re` decides on an id alone, in 0.3 us. For the look-aheads in its
pattern `jsonschema_rs` takes 3 us. So a pattern must mean the same to both engines.

Without further packages `jsonschema` checks few formats. If it finds no fault in a refused record,
`jsonschema_rs` explains the refusal. So each refusal has details.
"""

import copy
import json
import re
from importlib import resources
from typing import Any

import jsonschema
import jsonschema_rs
import msgspec

from ddb.gateway.api.errors import Detail, Refused, invalid, invalid_fields
from ddb.gateway.api.excerpt import described, short
from ddb.gateway.api.json_body import Document


class Schema:
    """Checks whole records, and partial ones: any subset of the fields."""

    def __init__(self, definition: dict[str, Any]) -> None:
        """`definition` is a draft-04 JSON Schema of a flat object."""
        partial = copy.deepcopy(definition)
        partial.pop("required", None)
        self.definition = definition
        properties = definition["properties"]
        if not isinstance(properties, dict):
            raise TypeError("a record's schema lists its properties")
        self._properties: dict[str, dict[str, str]] = properties
        self._id_pattern = _pattern_alone(properties.get("id", {}))
        self._required = [name for name in properties if name in definition.get("required", ())]
        self._whole = jsonschema_rs.Draft4Validator(definition, validate_formats=True)
        self._partial = jsonschema_rs.Draft4Validator(partial, validate_formats=True)
        formats = jsonschema.Draft4Validator.FORMAT_CHECKER
        self._explain_whole = jsonschema.Draft4Validator(definition, format_checker=formats)
        self._explain_partial = jsonschema.Draft4Validator(partial, format_checker=formats)

    def whole(self, document: Document) -> bytes:
        """Check a whole record and encode it for storage. Raises `Refused` (400).

        The stored fields have the order of the schema.
        """
        if not self._whole.is_valid(document):
            raise self._refusal(self._whole, self._explain_whole, document)
        return msgspec.json.encode(
            {name: document[name] for name in self._properties if name in document}
        )

    def partial(self, document: Document) -> None:
        """Check some fields of a record. Raises `Refused` (400)."""
        if not self._partial.is_valid(document):
            raise self._refusal(self._partial, self._explain_partial, document)

    def is_id(self, text: str) -> bool:
        """Return whether a record can have this id."""
        if self._id_pattern is not None:
            return self._id_pattern.search(text) is not None
        valid: bool = self._partial.is_valid({"id": text})
        return valid

    def fault(self, field: str, value: object) -> str:
        """Explain a wrong value: the values that its field takes, and the value with its type."""
        return f"it takes {self._taken(field)}; it got {described(value)}"

    def _refusal(
        self,
        decide: jsonschema_rs.Draft4Validator,
        explain: jsonschema.Draft4Validator,
        document: Document,
    ) -> Refused:
        """Explain why `decide` refuses a document: at least one detail, and one per field."""
        details: dict[str, str] = {}
        try:
            for error in explain.iter_errors(document):
                for detail in self._details(error, document):
                    details.setdefault(detail.field, detail.message)
            for more in () if details else decide.iter_errors(document):
                field = str(more.instance_path[0]) if more.instance_path else ""
                details.setdefault(short(field), self.fault(field, document.get(field)))
        except RecursionError:
            raise invalid("", "the body is nested too deeply") from None
        found = tuple(Detail(field, message) for field, message in sorted(details.items()))
        return invalid_fields(found)

    def _details(self, error: jsonschema.ValidationError, document: Document) -> list[Detail]:
        if error.validator == "required":
            return [
                Detail(name, f"this field is missing; it takes {self._taken(name)}")
                for name in self._required
                if name not in document
            ]
        if error.validator == "additionalProperties":
            fields = ", ".join(self._properties)
            return [
                Detail(short(name), f"there is no such field; a record has {fields}")
                for name in document
                if name not in self._properties
            ]
        field = str(error.path[0]) if error.path else ""
        return [Detail(field, self.fault(field, error.instance))]

    def _taken(self, field: str) -> str:
        return self._properties.get(field, {}).get("description", "something else")

    def __repr__(self) -> str:
        return f"<Schema {self.definition.get('title')}: {', '.join(self._properties)}>"


def load(name: str) -> Schema:
    """Load the schema from the file `NAME.schema.json` in this package."""
    text = resources.files("ddb.gateway.api").joinpath(f"{name}.schema.json").read_text("utf-8")
    return Schema(json.loads(text))


def _pattern_alone(field: dict[str, Any]) -> re.Pattern[str] | None:
    """Return the pattern of a text field; None: the field has another limit, or no pattern."""
    only_pattern = field.keys() <= {"description", "type", "pattern"}
    if only_pattern and field.get("type") == "string" and "pattern" in field:
        return re.compile(field["pattern"])
    return None
