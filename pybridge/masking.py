"""Masking: passwords taken out of any text that people get to see."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["mask"]

_HIDDEN = "***"
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
        if len(secret) >= _SHORT:
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


def _without(text: str, secret: str) -> str:
    """Hide a secret as it is, and in the forms that connection strings write it in."""
    from urllib.parse import quote, quote_plus

    forms = {
        secret,
        secret.replace("}", "}}"),
        quote(secret, safe=""),
        quote(secret),
        quote_plus(secret),
        _escaped(secret, "'"),
        _escaped(secret, '"'),
    }
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, _HIDDEN)
    return text


def _escaped(secret: str, mark: str) -> str:
    """Return a secret as it stands in a literal between such quotation marks."""
    return secret.replace("\\", "\\\\").replace(mark, "\\" + mark)


_RULES = (
    # password="...", "password": '...' of Python, JSON and TOML
    (
        rf"""\b({_WORDS})(["']?\s*[:=]\s*)(["'])(?:\\.|(?!\3).)*\3""",
        rf"\1\2\3{_HIDDEN}\3",
    ),
    # PWD={...}; and PWD=...; of ODBC: behind a semicolon, or at the string's beginning
    (
        rf"""((?:^|[;"'{{]\s*)(?:{_WORDS})=)(?![="'])(?:{_BRACED}|.*?{_ENDS})""",
        rf"\1{_HIDDEN}",
    ),
    # host=... password=... of PostgreSQL; not f(host, password=word)
    (rf"""([^,(\s]\s+(?:{_WORDS})=)(?![="'])[^\s;"']+""", rf"\1{_HIDDEN}"),
    # scheme://user:password@host
    (r"(://[^\s:/@]*:)[^\s/]*@", rf"\1{_HIDDEN}@"),
)
