"""The process of a service: a function answers HTTP requests until it is stopped."""

from __future__ import annotations

__all__ = ["REQUIREMENTS"]

# What the environment of a service needs beside what all functions do.
REQUIREMENTS = (
    "starlette",
    "uvicorn",
    "httptools",
    "uvloop",
    "python-multipart",
    "nuclio-sdk",
    "prometheus-client",
)
