"""Passwords: argon2id in worker threads, with the same work whether there is a hash to compare with or not."""

from __future__ import annotations

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from alerts.case import Refused

LEAST_PASSWORD, MOST_PASSWORD = 10, 1000  # characters

_HASHER: Final = PasswordHasher()
_THREADS: Final = ThreadPoolExecutor(2, thread_name_prefix="argon2")  # each hash takes 64 MB: two at once are enough
_ALPHABET: Final = "abcdefghijkmnpqrstuvwxyz23456789"  # without what is misread: l, o, 0, 1


def one_time_password() -> str:
    """Four groups of four, 80 bits, easily read out."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(4))


def check_password(name: str, password: str) -> None:
    """Refuse a password that is too short, too long, or made of the account's name."""
    if not LEAST_PASSWORD <= len(password) <= MOST_PASSWORD:
        raise Refused(
            "weak_password",
            f"密码应为 {LEAST_PASSWORD} 至 {MOST_PASSWORD} 个字符",
            f"a password has {LEAST_PASSWORD} to {MOST_PASSWORD} characters",
        )
    if name.lower() in password.lower() and len(password) < len(name) + LEAST_PASSWORD:
        raise Refused("weak_password", "密码不能由账号名构成", "the password must not be made of the name")


async def hash_password(password: str) -> str:
    """The argon2id hash of a password, with its parameters and a salt."""
    return await asyncio.get_running_loop().run_in_executor(_THREADS, _HASHER.hash, _bytes(password))


async def matches(hashed: str | None, password: str) -> bool:
    """Whether the password is right; without a hash the same work is done for nothing."""
    return await asyncio.get_running_loop().run_in_executor(_THREADS, _verify, hashed, _bytes(password))


_dummy: list[str] = []  # a hash of nothing anybody knows, made at first use with the parameters of all others


def _verify(hashed: str | None, password: bytes) -> bool:
    if not _dummy:
        _dummy.append(_HASHER.hash(secrets.token_bytes(16)))
    try:
        return _HASHER.verify(hashed or _dummy[0], password) and hashed is not None
    except (VerificationError, InvalidHashError):
        return False


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
