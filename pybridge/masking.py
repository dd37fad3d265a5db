"""Masking: passwords taken out of any text that people get to see."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["HIDDEN", "forms", "mask"]

HIDDEN = "***"
_SHORT = 3  # a secret shorter than this is hidden only where it stands as one
_WORDS = "pwd|password|passwd|passphrase|sslpassword|access_token"
# What a text has to have for the patterns to be tried: they cost a look at `re`.
_SIGNS = ("pwd", "passw", "passphrase", "access_token", "://")
_ENDS = r"""(?=;|["'](?:[\s,;)\]}:]|$)|$)"""

_BRACED = r"\{(?:[^}]|\}\})*\}"

_patterns: list[tuple[Any, str]] = []


def mask(text: str, secrets: tuple[str, ...] = ()) -> str:
    """Return a text without the secrets, and without anything that looks like one.

    Looked for are `PWD=...`, `password: "..."` and the like, and the password in a URI.
    """
    for secret in sorted(secrets, key=len, reverse=True):
        text = _without(text, secret)
    lower = text.lower()
    if not any(sign in lower for sign in _SIGNS):
        return text
    import re

    if not _patterns:
        _patterns.extend(
            (re.compile(pattern, re.IGNORECASE | re.MULTILINE), repl)
            for pattern, repl in _RULES
        )
    for compiled, shown in _patterns:
        text = compiled.sub(shown, text)
    return text


def forms(secret: str) -> list[str]:
    """Return a secret as it is and as texts write it, the longest first.

    Those of connection strings, URIs, JSON and Python; none where it is too short to
    be told from other text.
    """
    if len(secret) < _SHORT:
        return []
    import json
    from urllib.parse import quote, quote_plus

    found = {
        secret,
        secret.replace("}", "}}"),
        quote(secret, safe=""),
        quote(secret),
        quote_plus(secret),
        _escaped(secret, "'"),
        _escaped(secret, '"'),
        repr(secret)[1:-1],
        json.dumps(secret)[1:-1],
    }
    return sorted(found, key=len, reverse=True)


def _without(text: str, secret: str) -> str:
    """Hide a secret in all its forms."""
    for form in forms(secret):
        text = text.replace(form, HIDDEN)
    return text


def _escaped(secret: str, mark: str) -> str:
    """Return a secret as it stands in a literal between such quotation marks."""
    return secret.replace("\\", "\\\\").replace(mark, "\\" + mark)


_RULES = (
    # password="...", "password": '...' of Python, JSON and TOML
    (
        rf"""\b({_WORDS})(["']?\s*[:=]\s*)(["'])(?:\\.|(?!\3).)*\3""",
        rf"\1\2\3{HIDDEN}\3",
    ),
    # PWD={...}; and PWD=...; of ODBC: behind a semicolon, or at the string's beginning
    (
        rf"""((?:^|[;"'{{]\s*)(?:{_WORDS})=)(?![="'])(?:{_BRACED}|.*?{_ENDS})""",
        rf"\1{HIDDEN}",
    ),
    # host=... password=... of PostgreSQL; not f(host, password=word)
    (rf"""([^,(\s]\s+(?:{_WORDS})=)(?![="'])[^\s;"']+""", rf"\1{HIDDEN}"),
    # scheme://user:password@host
    (r"(://[^\s:/@]*:)[^\s/]*@", rf"\1{HIDDEN}@"),
)
