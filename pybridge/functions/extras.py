"""Extras: packages that functions need beside the bridge's own, or how to get them."""

from __future__ import annotations

from typing import Any

from pybridge.errors import HostError

__all__ = ["models", "need"]


def need(package: str, what: str) -> Any:
    """Return a package that something needs.

    Raises:
        HostError: it is not installed.

    """
    from importlib import import_module

    try:
        return import_module(package)
    except ImportError as exc:
        if (exc.name or package).partition(".")[0] != package:
            raise
        raise HostError(
            f"{what} needs the package '{package}'; pip install 'pybridge[functions]'"
        ) from None


def models() -> Any:
    """Return the models that arguments are checked by: the module `specs`.

    Raises:
        HostError: pydantic is not installed.

    """
    need("pydantic", "checking what functions and runs are made with")
    from pybridge.functions import specs

    return specs
