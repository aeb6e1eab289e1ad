"""The signed export of one case: members, a manifest with the hash of each, and a signature of the manifest. Pure.

The signature is Ed25519 over the bytes of ``manifest.json``, which holds sha256 and size of every other member. The
public key is in the file as well, for openssl; whether it is the centre's is for whoever checks to know.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from alerts.container import Writer
from alerts.evidence import canonical

FORMAT: Final = "patrolgrid-case/1"
CASE, MANIFEST, SIGNATURE, KEY, README = "case.json", "manifest.json", "manifest.sig", "public_key.pem", "README.txt"


class WrongKey(ValueError):
    """A text that is no public key of this kind."""


def write_bundle(
    file: BinaryIO, members: Iterable[tuple[str, bytes]], key: Ed25519PrivateKey, about: Mapping[str, Any]
) -> None:
    """Write an export: the members, how to check it, the public key, the manifest, its signature.

    ``about`` is what the manifest says beside the files: whose case, when, by whom. Members are taken one at a time.
    """
    writer, files = Writer(file), {}
    for name, content in (*_fixed(key.public_key()), *members):
        writer.add(name, content)
        files[name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    manifest = canonical({**about, "format": FORMAT, "public_key": key_text(key.public_key()), "files": files})
    writer.add(MANIFEST, manifest)
    writer.add(SIGNATURE, key.sign(manifest))
    writer.close()


def signed_by(key: Ed25519PublicKey, signature: bytes, manifest: bytes) -> bool:
    """Whether the signature is the key's over these bytes."""
    try:
        key.verify(signature, manifest)
    except InvalidSignature:
        return False
    return True


def key_text(key: Ed25519PublicKey) -> str:
    """A public key as 64 hex digits."""
    return key.public_bytes_raw().hex()


def key_pem(key: Ed25519PublicKey) -> bytes:
    """A public key as openssl reads it."""
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def read_key(text: str) -> Ed25519PublicKey:
    """A public key from 64 hex digits or PEM.

    Raises:
        WrongKey: it is neither.
    """
    if text.strip().startswith("-----BEGIN"):
        try:
            key = serialization.load_pem_public_key(text.strip().encode())
        except ValueError as error:
            raise WrongKey(f"the PEM text is no public key: {error}") from error
        if not isinstance(key, Ed25519PublicKey):
            raise WrongKey("the PEM text is a public key of another kind: expected Ed25519")
        return key
    try:
        return Ed25519PublicKey.from_public_bytes(bytes.fromhex(text.strip()))
    except ValueError as error:
        raise WrongKey(
            f"key {text.strip()[:80]!r}: expected 64 hex digits or PEM, as evidence key prints it"
        ) from error


def _fixed(key: Ed25519PublicKey) -> Iterable[tuple[str, bytes]]:
    yield README, _README.encode()
    yield KEY, key_pem(key)


_README: Final = """事件卷宗 / Case file

case.json      事件、全部记录及其哈希、预警、通知、轨迹（GeoJSON）
               the case, all its entries with their hashes, alerts, notices, tracks (GeoJSON)
case.zh.pdf    供阅读的卷宗 / the file to read, in Chinese
case.en.pdf    供阅读的卷宗（英文）/ the file to read, in English
attachments/   图片，以其内容的 sha256 命名 / pictures, named by the sha256 of their content
manifest.json  以上各文件的 sha256 / sha256 of all these files
manifest.sig   manifest.json 的 Ed25519 签名 / Ed25519 signature of manifest.json
public_key.pem 签名所用密钥的公钥：请与中心另行公布的公钥核对
               public half of the key that signed: compare it with the one that the centre has published elsewhere

核验 / To check it
  patrolgrid evidence check FILE.zip --key KEY

不用 PatrolGrid / Without PatrolGrid
  openssl pkeyutl -verify -rawin -pubin -inkey public_key.pem -in manifest.json -sigfile manifest.sig
  jq -r '.files | to_entries[] | "\\(.value.sha256)  \\(.key)"' manifest.json | sha256sum -c
"""
