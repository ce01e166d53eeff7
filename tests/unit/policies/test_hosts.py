"""A host is what programs would connect to."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import hosts


@pytest.mark.parametrize(
    ("written", "host"),
    [
        ("EXAMPLE.com.", "example.com"),
        ("ex%61mple.com", "example.com"),
        ("\uff45\uff58ample\uff0ecom", "example.com"),
        ("example\u3002com", "example.com"),
        ("exam\u200bple.c\u00adom", "example.com"),
    ],
)
def test_spellings_of_a_name_are_one_host(written: str, host: str) -> None:
    assert hosts.normal(written) == host


@pytest.mark.parametrize(
    "written",
    [
        "127.0.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[::127.0.0.1]",
    ],
)
def test_spellings_of_an_address_are_one_address(written: str) -> None:
    assert ipaddress.ip_address("127.0.0.1") in hosts.addresses(hosts.normal(written))
    assert hosts.nature(hosts.normal(written)) == "loopback"


def test_where_readers_differ_both_addresses_are_given() -> None:
    assert {str(each) for each in hosts.addresses("010.0.0.1")} == {"8.0.0.1", "10.0.0.1"}


@pytest.mark.parametrize(
    "name", ["example.com", "1.2.3.4.5", "256.1.1.1", "1.2.3.x", "", ".", "a..b", "0x", "[::zz]", "9" * 400]
)
def test_a_name_is_no_address(name: str) -> None:
    assert [each for each in hosts.addresses(name) if name != "0x"] == []


@pytest.mark.parametrize(
    ("host", "nature"),
    [
        ("169.254.169.254", "metadata"),
        ("[fd00:ec2::254]", "metadata"),
        ("2852039166", "metadata"),
        ("metadata.google.internal", "metadata"),
        ("169.254.1.1", "link_local"),
        ("[fe80::1]", "link_local"),
        ("10.1.2.3", "private"),
        ("192.168.0.1", "private"),
        ("[fc00::1]", "private"),
        ("10.0.0.1.nip.io", "private"),
        ("1.169-254-169-254.sslip.io", "metadata"),
        ("a9fea9fe.nip.io", "metadata"),
        ("deadbeef.example", "public"),
        ("169-254-169-254.sslip.io", "metadata"),
        ("localhost", "loopback"),
        ("app.localhost", "loopback"),
        ("0.0.0.0", "loopback"),
        ("8.8.8.8", "public"),
        ("example.com", "public"),
        ("notlocalhost", "public"),
    ],
)
def test_a_host_tells_where_it_leads(host: str, nature: str) -> None:
    assert hosts.nature(host) == nature


@given(st.ip_addresses(v=4))
def test_an_address_in_disguise_is_told_from_a_plain_one(address: ipaddress.IPv4Address) -> None:
    assert not hosts.disguised(str(address))
    assert hosts.disguised(str(int(address)))
    assert hosts.disguised(hex(int(address)))
    assert hosts.disguised(f"[::ffff:{address}]")
    assert address in hosts.addresses(str(int(address)))


@pytest.mark.parametrize(
    ("host", "looks"),
    [
        ("xn--pple-43d.com", "apple.com"),
        ("\u0430pple.com", "apple.com"),
        ("apple.com", None),
        ("b\u00fccher.example", None),
    ],
)
def test_a_lookalike_is_read_as_people_read_it(host: str, looks: str | None) -> None:
    found = hosts.lookalike(host)
    assert found == looks or (looks is None and found in (None, "bucher.example"))


@given(st.text())
def test_any_text_is_a_host_of_some_kind(text: str) -> None:
    host = hosts.normal(text)
    hosts.addresses(host)
    hosts.nature(host)
    hosts.disguised(host)
    hosts.lookalike(host)
