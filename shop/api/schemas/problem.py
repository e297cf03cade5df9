"""Schema of problem details (RFC 9457)."""

from __future__ import annotations

from marshmallow import fields

from shop.api.schemas.fields import Strict


class FieldProblemSchema(Strict):
    """A field that is not valid: `pointer` into the body (JSON Pointer), or `parameter` of the address or header."""

    pointer = fields.String(metadata={"example": "/items/0/quantity"})
    parameter = fields.String(metadata={"example": "limit"})
    code = fields.String(required=True, metadata={"example": "missing"})
    detail = fields.String(required=True, metadata={"example": "This field is required."})


class ProblemSchema(Strict):
    """A refused or failed call."""

    type = fields.String(required=True, metadata={"format": "uri", "description": "Address that explains the code."})
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    code = fields.String(required=True, metadata={"description": "Code for programs; see the page of errors."})
    detail = fields.String(required=True, metadata={"description": "Sentence for people."})
    request_id = fields.String(required=True, metadata={"description": "Quote it when you contact us."})
    errors = fields.List(fields.Nested(FieldProblemSchema))
    details = fields.Dict(metadata={"description": "Values of the refusal, such as the units that are available."})
