"""The process of a service: a function answers HTTP requests until it is stopped."""

from __future__ import annotations

__all__: list[str] = []
