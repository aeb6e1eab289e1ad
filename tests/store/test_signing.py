"""The key that signs: made once, kept from others, never replaced."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from alerts.bundle import key_text
from store.signing import KeyFile, UnusableKey


def test_it_is_made_at_first_use_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "new" / "signing_key.pem")
    first = key_text(file.key().public_key())
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert key_text(KeyFile(file.path).key().public_key()) == first
    assert list(file.path.parent.iterdir()) == [file.path], "nothing is left over"


def test_of_many_who_make_one_at_once_one_is_kept(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "key.pem")
    with ThreadPoolExecutor(16) as threads:
        keys = list(threads.map(lambda _: key_text(file.key().public_key()), range(32)))
    assert len(set(keys)) == 1 and list(tmp_path.iterdir()) == [file.path]


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "key.pem")
    file.key()
    file.path.chmod(0o640)
    with pytest.raises(UnusableKey, match="chmod 600"):
        file.key()


@pytest.mark.parametrize("content", [b"", b"junk", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_what_is_no_key_is_refused_and_never_replaced(tmp_path: Path, content: bytes) -> None:
    file = KeyFile(tmp_path / "key.pem")
    file.path.write_bytes(content)
    file.path.chmod(0o600)
    with pytest.raises(UnusableKey, match="no private key"):
        file.key()
    assert file.path.read_bytes() == content


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "key.pem")
    other = generate_private_key(SECP256R1())
    file.path.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    file.path.chmod(0o600)
    with pytest.raises(UnusableKey, match="Ed25519"):
        file.key()
