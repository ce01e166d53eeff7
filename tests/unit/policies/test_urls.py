"""URLs are found where they stand, with every host that some program would connect to."""

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.urls import MOST_URLS, address, bare, urls


@pytest.mark.parametrize(
    ("text", "url", "hosts"),
    [
        ("see https://a.example/x?y=1. Then", "https://a.example/x?y=1", {"a.example"}),
        ("(http://a.example/z)", "http://a.example/z", {"a.example"}),
        ("https://a.example/wiki/x_(y)", "https://a.example/wiki/x_(y)", {"a.example"}),
        ("HTTPS://A.Example:443/", "HTTPS://A.Example:443/", {"a.example"}),
        ("https:\\\\a.example\\x", "https:\\\\a.example\\x", {"a.example", "x"}),
        ("https:a.example", "https:a.example", {"a.example"}),
        ("https:////a.example", "https:////a.example", {"a.example"}),
        ("https://b.example@a.example/", "https://b.example@a.example/", {"a.example"}),
        ("https://b.example\\@a.example/", "https://b.example\\@a.example/", {"a.example", "b.example"}),
        ("https://b.example#@a.example/", "https://b.example#@a.example/", {"a.example", "b.example"}),
        ("https://b.example?@a.example/", "https://b.example?@a.example/", {"a.example", "b.example"}),
        ("https://x@b.example@a.example/", "https://x@b.example@a.example/", {"a.example", "b.example"}),
        ("https://a.example%2f@b.example/", "https://a.example%2f@b.example/", {"b.example"}),
        ("http://[::1]:80/x", "http://[::1]:80/x", {"[::1]"}),
        ("git+ssh://git@a.example/x", "git+ssh://git@a.example/x", {"a.example"}),
        ("ftp://a.example", "ftp://a.example", {"a.example"}),
    ],
)
def test_a_url_leads_to_all_its_hosts(text: str, url: str, hosts: set[str]) -> None:
    (found,) = urls(text)
    assert (text[found.start : found.end], set(found.hosts)) == (url, hosts)


@pytest.mark.parametrize(
    ("text", "confused"),
    [
        ("https://b.example\\@a.example", True),
        ("https://b.example#@a.example", True),
        ("https://a@b.example@c.example", True),
        ("https://user@a.example", False),
        ("https://a.example/@user", False),
        ("https://a.example/?mail=x@y.example", False),
        ("https://a.example?mail=x@y.example", False),
        ("https://a.example/#@x", False),
    ],
)
def test_confusion_is_told_from_an_at_sign(text: str, confused: bool) -> None:  # noqa: FBT001 - parametrised
    assert urls(text)[0].confused is confused


@pytest.mark.parametrize(
    "text", ["C:\\x", "std::vector", "key: value", "a//b", "note:x", "localhost:3000", "http", "://x"]
)
def test_other_colons_are_no_urls(text: str) -> None:
    assert urls(text) == ()


@pytest.mark.parametrize(
    ("text", "role"),
    [
        ("![x](https://a.example/i.png)", "load"),
        ("[x](https://a.example/)", "link"),
        ("[![i](//c.example/i)](https://a.example/)", "link"),
        ("![x][r]\n\n[r]: https://a.example/i.png", "load"),
        ("[![i](https://a.example/i)](https://c.example/)", "load"),
        ("![%s](https://a.example/i)" % ("x" * 5000), "load"),
        ("![a line\nand another](https://a.example/i)", "load"),
        ("![a `[` b](https://a.example/i)", "load"),
        ("![a \\[ b](https://a.example/i)", "load"),
        ("![a](/x) [b](https://a.example/i)", "link"),
        ("![a\n\n[b](https://a.example/i)", "link"),
        ("![x](https\\://a.example/i)", "load"),
        ("![x](\\/\\/a.example/i)", "load"),
        ("<img src=' https://a.example/i '>", "load"),
        ("<img srcset='/a.png 1x, https://a.example/i 2x'>", "load"),
        ("<link imagesrcset=https://a.example/i>", "load"),
        ("<meta http-equiv=refresh content='0;url=https://a.example/i'>", "load"),
        ("<a href=/x ping='/y https://a.example/i'>", "link"),
        ("<style>@import 'https://a.example/i';</style>", "load"),
        ('<p style="background:image-set("https://a.example/i" 1x)">', "load"),
        ("<img alt=x src='https://a.example/i'>", "load"),
        ("<iframe src=https://a.example/i>", "load"),
        ('<link rel=x href="https://a.example/i">', "load"),
        ('<a href="https://a.example/i">', "link"),
        ("background: url('https://a.example/i')", "load"),
        ("https://a.example/", "text"),
        ("<https://a.example/>", "text"),
    ],
)
def test_markup_tells_what_is_fetched_and_what_is_clicked(text: str, role: str) -> None:
    found = [url for url in urls(text) if "a.example" in url.hosts]
    assert [url.role for url in found] == [role]
    assert text[found[0].start : found[0].end].rstrip("'\")") == text[found[0].start : found[0].end]


@pytest.mark.parametrize("label", [10, 900, 999, 1000, 1001, 3000, 9000])
def test_an_image_is_one_to_whoever_sees_only_what_streams_by(label: int) -> None:
    text = f"Well.\n\n![{'x' * label}](https://a.example/i) and [y](https://b.example/)"
    seen = text[text.index("https://a") - 1100 :] if label > 1100 else text
    for each in (text, seen):
        assert [url.role for url in urls(each)] == ["load", "link"]


def test_blanks_that_a_browser_leaves_out_do_not_hide_what_is_fetched() -> None:
    found = urls("<img src='ht\ttps://a.exa\nmple/i'>")
    assert [url.role for url in found if "a.example" in url.hosts] == ["load"]


def test_an_address_without_a_scheme_counts_in_markup() -> None:
    (found,) = urls('<img src="//a.example/i?x=y">')
    assert (found.scheme, found.hosts, found.role, found.values) == ("", ("a.example",), "load", ("i", "y"))


@pytest.mark.parametrize(
    ("text", "scheme"),
    [
        ("javascript:alert(1)", "javascript"),
        ("data:text/html,x", "data"),
        ("file:///etc/x", "file"),
        ("gopher://a/_x", "gopher"),
    ],
)
def test_schemes_beyond_the_web_are_seen(text: str, scheme: str) -> None:
    assert urls(text)[0].scheme == scheme


def test_what_a_url_carries_is_taken_apart() -> None:
    (found,) = urls("https://a.example/p%41th/x?a=b%20c&d;e=f+g#frag")
    assert (found.values, found.queried) == (("pAth", "x", "b c", "d", "f g"), True)


def test_a_whole_value_is_an_address_though_blanks_split_it() -> None:
    found = address(" https://e\nvil.exa\tmple/ ")
    assert found is not None
    assert found.hosts == ("evil.example",)
    assert address("https://a b") is None
    assert address("see https://a.example") is None


@pytest.mark.parametrize(
    "text", ["a.example", "a.example:80/x", "//a.example/x", "10.0.0.1", "[::1]:80", "localhost:3000"]
)
def test_a_host_may_stand_without_a_scheme(text: str) -> None:
    assert bare(text) is not None


@pytest.mark.parametrize("text", ["", "word", "two words", "a/b.example", "'x.y'"])
def test_not_every_word_is_a_host(text: str) -> None:
    assert bare(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "![x](https://a.example/i)![y](https://b.example/i)",
        "[x](https://a.example/i)![y](https://b.example/i)",
        "(https://a.example/)(https://b.example/)",
        "https://a.example/,https://b.example/",
        "https://a.example/;https://b.example/",
        "https://a.example|https://b.example/",
    ],
)
def test_addresses_without_a_blank_between_are_each_found(text: str) -> None:
    assert {host for url in urls(text) for host in url.hosts} == {"a.example", "b.example"}


def test_urls_of_one_text_are_bounded() -> None:
    assert len(urls("http://a.example " * 2 * MOST_URLS)) == MOST_URLS


@pytest.mark.parametrize(
    "unit",
    [
        "![a](",
        "](a",
        "[](a)",
        "[](h\\:",
        "[](((",
        "<img srcset='//a ",
        "[[",
        "<a ",
        "[a]: x\n",
        "http://@@@@",
        "http://a?a&",
        "http:",
        "<a href=",
        "url(",
        "((",
    ],
)
def test_no_text_takes_more_than_linear_time(unit: str) -> None:
    def spent(size: int) -> float:
        text = unit * (size // len(unit))
        began = time.process_time()
        urls(text)
        return time.process_time() - began

    assert min(spent(262_144), spent(262_144)) < 8 * 4 * max(spent(32_768), 0.002)


@given(st.text() | st.text(alphabet="htps:/\\@#?.[]()<>!ab1%&;= \n\"'"))
def test_any_text_is_searched_without_failing(text: str) -> None:
    at = -1
    for url in urls(text):
        assert at <= url.start < url.end <= len(text)
        at = url.start
    address(text)
    bare(text)


@pytest.mark.parametrize(
    "scheme",
    [
        *("http", "https", "ws", "wss", "ftp", "javascript", "vbscript", "data", "file", "jar", "netdoc"),
        *("view-source", "mailto", "blob", "php", "expect"),
    ],
)
@pytest.mark.parametrize("style", [str.lower, str.upper, str.title])
def test_a_scheme_that_needs_no_slashes_opens_a_url_in_any_case(scheme: str, style: Callable[[str], str]) -> None:
    (found,) = urls(f"at 10:20, see {style(scheme)}:a.example/x")
    assert found.scheme == scheme
