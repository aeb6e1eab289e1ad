"""The key that signs exports: made at first use, in a file that nobody else may read. Blocking."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


class UnusableKey(RuntimeError):
    """The file of the key is there and is none, or others may read it: says what to do."""


@dataclass(frozen=True, slots=True)
class KeyFile:
    """Where the key is. Whoever has the file signs as the centre does; without it, nobody can sign as before."""

    path: Path

    def key(self) -> Ed25519PrivateKey:
        """The key; a new one is made where there is none. Of several who make one at once, one is kept.

        Raises:
            UnusableKey: the file holds no such key, or others may read it.
            OSError: it can be neither read nor written.
        """
        try:
            return self._read()
        except FileNotFoundError:
            self._make()
            return self._read()

    def _read(self) -> Ed25519PrivateKey:
        with self.path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise UnusableKey(f"{self.path} may be read by others: chmod 600 it, and think who had it")
            raw = file.read()
        try:
            key = serialization.load_pem_private_key(raw, password=None)
        except ValueError as error:
            raise UnusableKey(f"{self.path} is no private key: put the one from your backup there") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise UnusableKey(f"{self.path} is a key of another kind: expected Ed25519")
        return key

    def _make(self) -> None:
        """Write a new key whole under its name, unless another process was first."""
        raw = Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=".new-key-")  # with mode 0600
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            os.link(name, self.path)  # fails where there is one by now, which then is the key
        except FileExistsError:
            pass
        finally:
            Path(name).unlink()
