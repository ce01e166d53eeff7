"""A path says what is lost with it, and what is kept in it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.guards.code.shell.paths import device, kept_in, loss, normal, system_file
from policies.guards.code.shell.syntax import HOME, UNKNOWN, quoted


@pytest.mark.parametrize(
    ("text", "cwd", "path"),
    [
        ("//a/./b//../c/", "", "/a/c"),
        ("/..//../etc", "", "/etc"),
        (f"{HOME}/x", "", "~/x"),
        ("x/../y", "", "y"),
        ("../y", "", "../y"),
        ("x", "/tmp", "/tmp/x"),
        ("/x", "/tmp", "/x"),
        ("..", "/", "/"),
        ("", "", "."),
    ],
)
def test_spellings_of_a_path_are_one_path(text: str, cwd: str, path: str) -> None:
    assert normal(text, cwd) == path


@pytest.mark.parametrize("text", ["/", "/*", "/.", "//", "/tmp/..", "/?*", "/[a-z]*"])
def test_the_root_is_the_gravest_loss(text: str) -> None:
    assert loss(text) == (95, "root")


@pytest.mark.parametrize(
    "text", [HOME, f"{HOME}/", f"{HOME}/*", "~ann", "/home/ann", "/home/*", "/root", "/etc", "/usr/*", "/var"]
)
def test_homes_and_the_system_come_next(text: str) -> None:
    assert loss(text)[0] == 90


@pytest.mark.parametrize("text", ["*", "./*", ".", "..", "../*", "/etc/nginx", "/usr/lib/x"])
def test_everything_here_is_a_loss_too(text: str) -> None:
    assert loss(text)[0] == 75


@pytest.mark.parametrize(
    "text",
    [
        "build",
        "./build/*",
        "node_modules",
        "/home/ann/app/build",
        "/tmp/x",
        "/usr/local/x",
        "/opt/app/x",
        quoted("*"),
        UNKNOWN,
    ],
)
def test_a_projects_own_files_are_none(text: str) -> None:
    assert loss(text)[0] <= 25


@pytest.mark.parametrize(
    "text",
    [
        "~/.ssh/id_ed25519",
        "/home/a/.ssh",
        "id_rsa",
        "~/.aws/credentials",
        "~/.config/gcloud/x.json",
        "~/.kube/config",
        "~/.docker/config.json",
        "~/.config/gh/hosts.yml",
        "~/.netrc",
        "~/.pgpass",
        "~/.my.cnf",
        "~/.npmrc",
        "~/.pypirc",
        "~/.git-credentials",
        "~/.gnupg/x",
        "/etc/shadow",
        "/proc/self/environ",
        "/run/secrets/db",
        "/var/run/secrets/kubernetes.io/serviceaccount/token",
        "~/.bash_history",
        "x/Login Data",
        "x/key4.db",
        "wallet.dat",
        "~/Library/Keychains/x",
        "~/.azure/x",
        "~/.vault-token",
        "~/.password-store/x",
        "~/.config/op/x",
        "application_default_credentials.json",
    ],
)
def test_keys_and_passwords_are_known_by_their_place(text: str) -> None:
    assert kept_in(text) == "secret"


@pytest.mark.parametrize(
    "text",
    [
        ".env",
        "app/.env.production",
        "secrets.yaml",
        "server.key",
        "cert.pem",
        "store.jks",
        "terraform.tfstate",
        "/etc/passwd",
        "service-account-x.json",
        ".htpasswd",
        "a.kdbx",
        "config/master.key",
    ],
)
def test_settings_often_hold_some(text: str) -> None:
    assert kept_in(text) == "settings"


@pytest.mark.parametrize(
    "text", ["id_rsa.pub", ".env.example", "src/key.py", "README.md", "environ.py", "~/.ssh/known_hosts", "keys"]
)
def test_other_files_hold_none(text: str) -> None:
    assert kept_in(text) is None


def test_devices_and_the_systems_files_are_told_from_others() -> None:
    assert device("/dev/sda1")
    assert device("/dev/nvme0n1")
    assert not device("/dev/null")
    assert system_file("/etc/passwd")
    assert system_file("passwd", "/etc")
    assert not system_file("/dev/null")
    assert not system_file("/usr/local/bin/x")
    assert not system_file("etc/passwd")


@given(st.text(alphabet=f"/.~*?[a]-{HOME}{UNKNOWN}", max_size=30), st.sampled_from(["", "/", "/tmp", "~", "x"]))
def test_any_text_is_a_path(text: str, cwd: str) -> None:
    loss(text, cwd)
    kept_in(text, cwd)
    assert normal(normal(text, cwd)) == normal(text, cwd)
