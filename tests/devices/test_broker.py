"""A broker's address: what is given is kept, what is left out has the standard's value, what is wrong is named."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.broker import Broker

TEXT = st.text(min_size=1, max_size=20).filter(lambda text: text.isprintable())


@given(user=TEXT, password=TEXT, port=st.integers(1, 65535), secure=st.booleans())
def test_what_is_given_is_kept(user: str, password: str, port: int, secure: bool) -> None:
    login = f"{quote(user, safe='')}:{quote(password, safe='')}"
    broker = Broker.parse(f"mqtt{'s' * secure}://{login}@10.0.0.7:{port}")
    assert broker == Broker("10.0.0.7", port, user, password, secure)


@pytest.mark.parametrize(
    ("url", "port"), [("mqtt://broker", 1883), ("mqtts://broker", 8883), ("mqtt://broker:0", 1883)]
)
def test_the_port_is_the_standards_where_none_is_given(url: str, port: int) -> None:
    assert Broker.parse(url) == Broker("broker", port, secure=url.startswith("mqtts"))


@pytest.mark.parametrize("url", ["", "127.0.0.1:1883", "tcp://broker", "mqtt://", "mqtt://broker:port", "mqtt://[::1"])
def test_what_is_no_address_is_named(url: str) -> None:
    with pytest.raises(ValueError, match=r"expected mqtt\[s\]://"):
        Broker.parse(url)


def test_a_password_is_never_shown() -> None:
    assert "secret" not in repr(Broker.parse("mqtt://pg:secret@broker"))
    with pytest.raises(ValueError, match="broker address") as error:
        Broker.parse("http://pg:secret@broker")
    assert "secret" not in str(error.value)
