"""Mail through a real SMTP server: what arrives, and which refusals are for good."""

from __future__ import annotations

import asyncio
import email
import email.policy
import time
from collections.abc import Iterator

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from alerts.channels.apprise_channel import AppriseChannel, address_problem
from alerts.notice import Notice, Permanent, Temporary, both

BODY = both(("PG-20261120-0001 禁渔区垂钓", "看到三人垂钓"), ("PG-20261120-0001 Fishing", "three people angling"))


class Box:
    """What the server answers to a recipient and to a message, and what it took."""

    def __init__(self) -> None:
        self.recipient, self.message, self.delay = "250 OK", "250 OK", 0.0
        self.got: list[bytes] = []

    async def handle_RCPT(  # noqa: N802 - the name that aiosmtpd calls
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.recipient.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.recipient

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        await asyncio.sleep(self.delay)
        if self.message.startswith("250"):
            assert isinstance(envelope.content, bytes)
            self.got.append(envelope.content)
        return self.message


class Server(Controller):
    """On a port that the system gives."""

    def _trigger_server(self) -> None:
        """Connect to the port that is really listened on."""
        assert self.server is not None
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@pytest.fixture
def box() -> Box:
    return Box()


@pytest.fixture
def server(box: Box) -> Iterator[Server]:
    running = Server(box, hostname="127.0.0.1", port=0)
    running.start()
    yield running
    if running.server is not None:
        running.stop()


def notice(port: int) -> Notice:
    address = f"mailto://127.0.0.1:{port}?from=pg@example.org&to=duty@example.org&mode=insecure"
    assert address_problem(address) is None
    return Notice(7, 3, "apprise", "fishery", "why", BODY, address=address)


async def test_a_mail_arrives_in_both_languages(server: Server, box: Box) -> None:
    await AppriseChannel().send(notice(server.port))
    (raw,) = box.got
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    assert mail["subject"] == "PG-20261120-0001 禁渔区垂钓 / PG-20261120-0001 Fishing"
    text = mail.get_content()
    assert "看到三人垂钓" in text and "three people angling" in text


@pytest.mark.parametrize(
    ("recipient", "message", "kind"),
    [
        ("250 OK", "451 try again later", Temporary),
        ("250 OK", "421 closing", Temporary),
        ("450 mailbox busy", "250 OK", Temporary),
        ("250 OK", "554 this is spam", Permanent),
        ("550 no such user", "250 OK", Permanent),
    ],
)
async def test_a_refusal_is_for_now_or_for_good_by_its_code(
    server: Server, box: Box, recipient: str, message: str, kind: type[Exception]
) -> None:
    box.recipient, box.message = recipient, message
    with pytest.raises(kind) as failure:
        await AppriseChannel().send(notice(server.port))
    refused = message if recipient.startswith("250") else recipient
    assert refused in str(failure.value), "the server's words are kept"
    assert "example.org" not in str(failure.value)
    assert box.got == []


async def test_a_server_that_is_away_is_temporary(server: Server, box: Box) -> None:
    away = notice(server.port)
    server.stop()
    with pytest.raises(Temporary):
        await AppriseChannel().send(away)
    assert box.got == []


async def test_a_slow_server_is_waited_for_as_long_as_was_said(server: Server, box: Box) -> None:
    box.delay = 5.0  # longer than Apprise would wait by itself
    await AppriseChannel().send(notice(server.port))
    assert len(box.got) == 1
    began = time.perf_counter()
    with pytest.raises(Temporary):
        await AppriseChannel(timeout=1.0).send(notice(server.port))
    assert time.perf_counter() - began < 3.0


@pytest.mark.parametrize(
    "address",
    [
        "dingtalk://0123456789abcdef0123456789abcdef",
        "feishu://0123456789abcdef",
        "wecombot://0a1b2c3d-7aec-4bc4-97a0-0ec2aaaabbbb",
        "mailto://user:password@example.org",
        "jsons://example.org/hook",
    ],
)
def test_addresses_of_the_usual_services_are_in_order(address: str) -> None:
    assert address_problem(address) is None


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("dingding://0123456789abcdef", "dingding:// is no service"),
        ("dingtalk://", "dingtalk://… lacks something"),
        ("wecombot://s3cret key!/", "wecombot://… lacks something"),
        ("feishu://", "feishu://… lacks something"),
        ("mailto://", "mailto://… lacks something"),
    ],
)
def test_what_apprise_cannot_make_anything_of_is_said_without_its_secret(address: str, said: str) -> None:
    problem = address_problem(address)
    assert problem is not None and said in problem and "s3cret" not in problem
