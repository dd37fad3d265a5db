"""The key that pickles are signed with: the environment's, or the user's own file."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from pybridge.errors import BadArgument

__all__ = ["VARIABLE", "Key", "data_home"]

VARIABLE = "PYBRIDGE_KEY"
_BYTES = 32


class Key:
    """A secret, and the name by which it is told from others."""

    def __init__(self, secret: bytes) -> None:
        """Take the secret."""
        self._secret = secret
        # The name must not help anybody to find the secret.
        self.name = hmac.digest(secret, b"pybridge key name", "sha256").hex()[:16]

    @staticmethod
    def own() -> Key:
        """Return the user's key, made on first use.

        Raises:
            BadArgument: there is a key file that others can read, or it is no key.

        """
        given = os.environ.get(VARIABLE)
        if given:
            # A text of any length is one; the hash makes a key of it.
            return Key(hashlib.sha256(given.encode(errors="surrogateescape")).digest())
        path = data_home() / "key"
        with suppress(FileExistsError):
            _make(path)
        return Key(_read(path))

    def sign(self, text: str) -> str:
        """Return the signature of a text."""
        return hmac.digest(
            self._secret, text.encode(errors="surrogatepass"), "sha256"
        ).hex()

    def has_signed(self, text: str, signature: str) -> bool:
        """Tell whether a signature of that text is this key's."""
        return hmac.compare_digest(
            self.sign(text).encode(), signature.encode(errors="surrogatepass")
        )


def data_home() -> Path:
    """Return the folder of the user's data."""
    home = os.environ.get("XDG_DATA_HOME")
    return Path(home or Path.home() / ".local" / "share") / "pybridge"


def _make(path: Path) -> None:
    """Make a key file, whole from the moment it has its name.

    Raises:
        FileExistsError: there is one already.

    """
    if path.exists():
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = path.with_name(f".key-{secrets.token_hex(8)}")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, secrets.token_bytes(_BYTES))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        try:
            # Unlike a rename, a link fails where another process was faster.
            os.link(part, path)
        finally:
            part.unlink()
    except FileExistsError:
        raise
    except OSError as exc:
        raise BadArgument(
            f"the key '{path}' cannot be made: {exc.strerror}; set {VARIABLE}"
        ) from None


def _read(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            found = os.fstat(descriptor)
            secret = os.read(descriptor, 4096)
        finally:
            os.close(descriptor)
    except OSError as exc:
        raise BadArgument(f"the key '{path}' cannot be read: {exc.strerror}") from None
    others = stat.S_IRWXG | stat.S_IRWXO
    if not stat.S_ISREG(found.st_mode) or found.st_mode & others:
        raise BadArgument(
            f"the key '{path}' can be read by others; run chmod 600 on it if nobody "
            "has, or delete it and sign the snapshots that you trust again"
        )
    if found.st_uid != os.getuid():
        raise BadArgument(f"the key '{path}' belongs to another user; set {VARIABLE}")
    if len(secret) < _BYTES:
        raise BadArgument(
            f"the key '{path}' is too short; delete it, a new one is made"
        )
    return secret
