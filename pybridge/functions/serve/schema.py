"""The schema of a service: what its function takes and gives, as OpenAPI says it."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pybridge.functions.serve.binding import Binding

__all__ = ["openapi"]

_SCHEMAS = "#/components/schemas/"
_FORMS = ("application/json", "multipart/form-data")


def openapi(binding: Binding, title: str, *, secured: bool) -> dict[str, Any]:
    """Return the whole description of a service."""
    function = binding.function
    schemas: dict[str, Any] = {"Problem": _PROBLEM}
    fields, required = _parameters(binding, schemas)
    words = inspect.getdoc(function) or ""
    operation: dict[str, Any] = {
        "summary": words.partition("\n")[0] or title,
        "description": words,
        "responses": _responses(binding, schemas),
    }
    path: dict[str, Any] = {}
    if binding.event and not binding.parameters:
        anything = {"description": "what the function takes as its event", "schema": {}}
        path["post"] = {**operation, "operationId": "call"}
        path["post"]["requestBody"] = {"content": {"*/*": {"schema": {}}}}
        path["post"]["requestBody"]["description"] = anything["description"]
        path["get"] = {**operation, "operationId": "call_by_query"}
    else:
        body = {"type": "object", "properties": fields, "additionalProperties": False}
        if required:
            body["required"] = required
        path["post"] = {**operation, "operationId": "call"}
        if fields:
            content = {kind: {"schema": body} for kind in _FORMS}
            path["post"]["requestBody"] = {"required": True, "content": content}
        path["get"] = {**operation, "operationId": "call_by_query"}
        path["get"]["parameters"] = [
            {"name": n, "in": "query", "required": n in required, "schema": one}
            for n, one in fields.items()
        ]
    told: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": title or "function", "version": "1"},
        "paths": {"/": path, **_OWN},
        "components": {"schemas": schemas},
    }
    if secured:
        scheme = {"type": "http", "scheme": "bearer"}
        told["components"]["securitySchemes"] = {"token": scheme}
        told["security"] = [{"token": []}]
    return told


def _parameters(
    binding: Binding, schemas: dict[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    fields, required = {}, []
    for one in binding.ordinary:
        field = _of(one.annotation, schemas)
        default = binding.given.get(one.name, one.default)
        if default is inspect.Parameter.empty:
            required.append(one.name)
        else:
            default = _plain(default)
            if default is not NotImplemented:
                field = {**field, "default": default}
        fields[one.name] = field
    return fields, required


def _of(annotation: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an annotation; that of anything where it says nothing."""
    if annotation is inspect.Parameter.empty:
        return {}
    if getattr(annotation, "__name__", "") in {"DataFrame", "Series"}:
        return {"type": "array", "items": {"type": "object"}}
    from pydantic import ConfigDict, TypeAdapter

    try:
        try:
            config = ConfigDict(arbitrary_types_allowed=True)
            adapter = TypeAdapter(annotation, config=config)
        except Exception:
            adapter = TypeAdapter(annotation)
        made = adapter.json_schema(ref_template=_SCHEMAS + "{model}")
    except Exception:
        return {}
    schemas.update(made.pop("$defs", {}))
    return dict(made)


def _responses(binding: Binding, schemas: dict[str, Any]) -> dict[str, Any]:
    schema = _of(binding.returned, schemas)
    problem = {"application/json": {"schema": {"$ref": _SCHEMAS + "Problem"}}}
    told: dict[str, Any] = {
        "200": {
            "description": "what the function returns",
            "content": {"application/json": {"schema": schema}},
        }
    }
    for status, words in _FAILURES.items():
        told[status] = {"description": words, "content": problem}
    return told


def _plain(value: Any) -> Any:
    """Return a default as JSON has it, or NotImplemented."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        return NotImplemented


_FAILURES = {
    "400": "the body is not what its content type says",
    "413": "the body is too large",
    "422": "parameters are missing, unknown or of the wrong type",
    "500": "the function failed",
    "503": "the service is busy; try again after the seconds in Retry-After",
    "504": "the function took too long",
}
_PROBLEM: dict[str, Any] = {
    "type": "object",
    "required": ["error", "request_id"],
    "properties": {
        "error": {"type": "string"},
        "request_id": {"type": "string"},
        "fields": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "field": {"type": "string"},
                    "message": {"type": "string"},
                    "value": {},
                },
            },
        },
    },
}


def _page(words: str, kind: str = "application/json") -> dict[str, Any]:
    answer = {"description": words, "content": {kind: {"schema": {}}}}
    return {"get": {"summary": words, "responses": {"200": answer}}}


_OWN = {
    "/livez": _page("whether the service lives"),
    "/readyz": _page("whether the service takes requests"),
    "/metrics": _page("numbers for Prometheus", "text/plain"),
}
