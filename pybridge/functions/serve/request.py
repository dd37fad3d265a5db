"""Requests: what is read of them, and what it means to a function."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from pybridge.functions.serve.binding import Binding

    Receive = Callable[[], Awaitable[dict[str, Any]]]

__all__ = ["BadRequest", "Gone", "Parsed", "parse", "read_body"]

_JSON, _FORM, _MULTIPART, _OTHER, _NONE = range(5)
_CHARSET = re.compile(rb";\s*charset\s*=\s*\"?([\w.:-]+)", re.IGNORECASE)
_DISCARD = 16 * 2**20  # a body that is refused is read to its end up to this size


class Gone(Exception):  # noqa: N818 - it is what it says
    """The client has hung up."""


class BadRequest(Exception):  # noqa: N818 - it is what it says
    """The request cannot be answered; says the status, why, and in which fields."""

    def __init__(
        self,
        status: int,
        error: str,
        *headers: tuple[bytes, bytes],
        fields: list[dict[str, Any]] | None = None,
    ) -> None:
        """Keep what the client is told."""
        super().__init__(error)
        self.status = status
        self.error = error
        self.headers = headers
        self.fields = fields


class Parsed:
    """What a request says: `parameters` for the function, `document` for its event."""

    __slots__ = ("document", "fields", "parameters")

    def __init__(self) -> None:
        self.parameters: dict[str, Any] = {}
        self.document: Any = b""
        self.fields: list[tuple[str, str]] = []


async def read_body(
    receive: Receive, headers: Mapping[bytes, bytes], limit: int
) -> bytes:
    """Return the whole body.

    Raises:
        BadRequest: it is larger than `limit`; nothing more of it is kept.
        Gone: the client has hung up.
    """
    length = headers.get(b"content-length", b"")
    if length.isdigit() and int(length) > limit:
        raise _too_large(limit, int(length))
    message = await receive()
    if message["type"] != "http.request":
        raise Gone
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        pieces, size = [body], len(body)
        while message.get("more_body"):
            message = await receive()
            if message["type"] != "http.request":
                raise Gone
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
            if size > limit:
                raise _too_large(limit, None)
        body = b"".join(pieces)
    if len(body) > limit:
        raise _too_large(limit, None)
    return body


def _too_large(limit: int, length: int | None) -> BadRequest:
    # A client that is still sending would not see the answer on a closed connection.
    rest = length is None or length > limit + _DISCARD
    headers = [(b"connection", b"close")] if rest else []
    size = f"{length:,} bytes" if length is not None else "larger"
    return BadRequest(
        413, f"the body may have {limit:,} bytes, this one has {size}", *headers
    )


async def parse(
    body: bytes, query: bytes, headers: Mapping[bytes, bytes], binding: Binding
) -> Parsed:
    """Return what body and query string say to a function.

    Raises:
        BadRequest: they say nothing that its parameters could be taken from.
    """
    parsed = Parsed()
    if query:
        text = query.decode("latin-1")
        parsed.fields = parse_qsl(text, keep_blank_values=True)
    if binding.parameters and parsed.fields:
        parsed.parameters = _collect(parsed.fields, binding)
    if body:
        await _parse_body(parsed, body, headers.get(b"content-type", b""), binding)
    return parsed


async def _parse_body(
    parsed: Parsed, body: bytes, content_type: bytes, binding: Binding
) -> None:
    parsed.document = body
    kind = _JSON if content_type == b"application/json" else _kind(content_type)
    if kind == _JSON or (binding.parameters and _looks_like_json(kind, body)):
        _parse_json(parsed, body, content_type, binding, sure=kind == _JSON)
    elif not binding.parameters:
        return
    elif kind == _FORM:
        text = body.decode("utf-8", "replace")
        _merge(parsed, _collect(parse_qsl(text, keep_blank_values=True), binding))
    elif kind == _MULTIPART:
        _merge(parsed, _collect(await _multipart(body, content_type), binding))
    elif not binding.event:
        name = content_type.decode("latin-1") or "none"
        raise BadRequest(
            415,
            f'the content type is "{name}"; wanted: application/json, '
            "application/x-www-form-urlencoded or multipart/form-data",
        )


def _kind(content_type: bytes) -> int:
    name = content_type.partition(b";")[0].strip().lower()
    if name == b"application/json" or name.endswith(b"+json"):
        return _JSON
    if name == b"application/x-www-form-urlencoded":
        return _FORM
    if name == b"multipart/form-data":
        return _MULTIPART
    return _OTHER if name else _NONE


def _looks_like_json(kind: int, body: bytes) -> bool:
    # What `curl -d '{"x": 1}'` sends calls itself a form, and `data=` of requests
    # gives no type at all; no field of a form is called {"x": 1}.
    return kind in {_FORM, _NONE} and body.lstrip()[:1] == b"{"


def _parse_json(
    parsed: Parsed, body: bytes, content_type: bytes, binding: Binding, *, sure: bool
) -> None:
    try:
        parsed.document = document = _loads(body, content_type)
    except (ValueError, LookupError, RecursionError) as exc:
        if not binding.parameters:
            return  # the event has the bytes
        raise BadRequest(400, f"the body is not JSON: {exc}") from None
    if not sure:
        parsed.document = body
    if not binding.parameters:
        return
    if isinstance(document, dict):
        _merge(parsed, document)
    elif not binding.event and document is not None:
        kind = _KINDS.get(type(document), "a number")
        raise BadRequest(
            422,
            f"the body is {kind}; wanted: an object with the parameters "
            f"{binding.told()}",
        )


_KINDS = {list: "a list", str: "a text", bool: "true or false"}


def _loads(body: bytes, content_type: bytes) -> Any:
    if b";" in content_type:
        charset = _CHARSET.search(content_type)
        if charset and charset[1].lower() not in {b"utf-8", b"utf8"}:
            return json.loads(body.decode(charset[1].decode()))
    return json.loads(body)


def _merge(parsed: Parsed, given: dict[str, Any]) -> None:
    """Add what the body says; it goes before what the query string says."""
    if parsed.parameters:
        parsed.parameters.update(given)
    else:
        parsed.parameters = given


def _collect(pairs: list[tuple[str, Any]], binding: Binding) -> dict[str, Any]:
    """Return the fields by name; one that came several times is a list."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            several = found[name]
            if not isinstance(several, list):
                several = found[name] = [several]
            several.append(value)
        else:
            found[name] = [value] if name in binding.sequences else value
    return found


async def _multipart(body: bytes, content_type: bytes) -> list[tuple[str, Any]]:
    """Return the fields; a file is its bytes."""
    from starlette.datastructures import Headers
    from starlette.formparsers import MultiPartException, MultiPartParser

    async def stream() -> AsyncIterator[bytes]:
        yield body

    headers = Headers(raw=[(b"content-type", content_type)])
    try:
        parser = MultiPartParser(headers, stream())  # type: ignore[arg-type]
        parser.max_part_size = parser.max_file_size = len(body) + 1  # type: ignore[attr-defined]
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as exc:
        text = getattr(exc, "message", None) or exc
        raise BadRequest(400, f"the body is not a form: {text}") from None
    found: list[tuple[str, Any]] = []
    for name, value in form.multi_items():
        if isinstance(value, str):
            found.append((name, value))
        else:
            found.append((name, await value.read()))
            await value.close()
    return found
