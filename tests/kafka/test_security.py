"""TLS and logins, right and wrong: who gets in, what those who don't are told, and that no password is ever said."""

import re
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from schemas.access import ROLES
from tests.kafka.secured import shoal, within_a_minute
from tests.support.kafka.broker import Broker
from tests.support.kafka.certificates import Authority
from tests.support.kafka.jars import openssl
from tests.support.kafka.properties import Security
from worker.errors import ShoalError, WrongUsage
from worker.kafka import topics
from worker.kafka.clients import reader, security
from worker.settings import Settings, load

USER, PASSWORD, WRONG = "alice", "canary-Zeisig-71", "canary-Stieglitz-72"
CANARIES = (PASSWORD, WRONG)
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
NOBODY_THERE = "127.0.0.1:1"
NO_SUCH_HOST = ".".join(["x" * 60] * 5) + ":9092"  # longer than a name may be, so that no server is asked for it

Given = dict[str, str]


@pytest.fixture(scope="module")
def secured() -> Iterator[Broker]:
    """A broker that wants TLS and a login."""
    with Broker(security=Security("SASL_SSL", {USER: PASSWORD})) as running:
        within_a_minute(topics.create(load(**running.client(USER)), partitions=1))
        yield running


@pytest.fixture
def given(secured: Broker) -> Given:
    """The settings that log in."""
    return secured.client(USER) | {"log_level": "DEBUG"}


@pytest.fixture
def stranger(tmp_path: Path) -> Given:
    """The certificate of an authority that has nothing to do with the broker."""
    return {"ssl_cafile": str(Authority(tmp_path).certificate)}


def told(given: Mapping[str, str], status: int) -> str:
    """What a command that can't get in says: one sentence, and no password, whatever is logged."""
    done = shoal(given, "topics", "check", status=status)
    assert done.stdout == ""
    assert (done.stderr.count("\n"), done.stderr[:7], done.stderr[-2:]) == (1, "shoal: ", ".\n")
    assert [canary for canary in CANARIES if canary in done.stderr] == []
    return done.stderr


def without(given: Mapping[str, str], *names: str) -> Given:
    """The settings less some."""
    return {name: value for name, value in given.items() if name not in names}


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_login_from_the_environment_gets_in(given: Given, mechanism: str) -> None:
    """By each mechanism, over TLS; with everything logged there is still no password in what is printed."""
    done = shoal(given | {"sasl_mechanism": mechanism}, "topics", "check")
    assert (done.stdout, done.stderr) == ("The topics are as they should be.\n", "")


def test_a_login_from_a_file_gets_in(given: Given, tmp_path: Path) -> None:
    """As an orchestrator hands secrets out; the line's end doesn't count."""
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n", encoding="utf-8")
    by_file = without(given, "sasl_password") | {"sasl_password_file": str(file)}
    assert shoal(by_file, "topics", "check").stdout == "The topics are as they should be.\n"
    missing = shoal(by_file | {"sasl_password_file": str(tmp_path / "none")}, "topics", "check", status=2)
    assert "SHOAL_SASL_PASSWORD_FILE" in missing.stderr
    assert "can't be read (FileNotFoundError)" in missing.stderr


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_wrong_password_is_told_without_it(given: Given, mechanism: str) -> None:
    """Which user was refused, and what to check; exit status 2."""
    said = told(given | {"sasl_mechanism": mechanism, "sasl_password": WRONG}, status=2)
    assert "refuses the login of alice: check SHOAL_SASL_USERNAME and the password" in said


def test_a_worker_that_is_refused_ends_and_has_logged_no_password(given: Given) -> None:
    """It waits for brokers that are away, but not for a password to become right; at DEBUG too it says neither."""
    done = shoal(given | {"sasl_password": WRONG, "http_port": "0"}, "worker", status=2)
    assert done.stderr.splitlines()[-1].startswith(f"shoal: {given['bootstrap_servers']} refuses the login of alice")
    assert [canary for canary in CANARIES if canary in done.stdout + done.stderr] == []


def test_certificates_of_an_unknown_authority_are_refused(given: Given, stranger: Given) -> None:
    """Another authority's, or none that the system trusts."""
    for settings in (given | stranger, without(given, "ssl_cafile")):
        said = told(settings, status=2)
        assert "isn't trusted" in said
        assert "SHOAL_SSL_CAFILE" in said


def test_a_certificate_for_another_name_is_refused(given: Given, secured: Broker) -> None:
    """The host that was asked for must be the one that answers: 127.1 is the same address, but not the same name."""
    said = told(given | {"bootstrap_servers": f"127.1:{secured.port}"}, status=2)
    assert f"The certificate of 127.1:{secured.port} is for another name" in said


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"security_protocol": "PLAINTEXT"}, 1, "it may want TLS, a login or a client's certificate"),
        ({"security_protocol": "SSL"}, 1, "it may want TLS, a login or a client's certificate"),
        ({"bootstrap_servers": NOBODY_THERE}, 1, f"No broker answers at {NOBODY_THERE}: start it, or correct SHOAL_"),
        ({"bootstrap_servers": NO_SUCH_HOST}, 1, "has no address: correct SHOAL_BOOTSTRAP_SERVERS"),
        ({"bootstrap_servers": f"{NOBODY_THERE},{NO_SUCH_HOST}"}, 1, "has no address"),
    ],
)  # fmt: skip
def test_what_keeps_a_client_out_is_told_in_a_sentence(given: Given, change: Given, status: int, words: str) -> None:
    """A broker that wants more, none at all, a host that doesn't exist: no traceback, and nothing of the library's."""
    assert words in told(given | change, status)


def test_a_broker_that_speaks_no_tls_or_no_login_is_told_in_a_sentence(given: Given, broker: Broker) -> None:
    """TLS to a listener without; a login where none is wanted."""
    there = given | {"bootstrap_servers": broker.bootstrap}
    assert "doesn't speak SASL_SSL" in told(there, status=1)
    assert "knows no login by SCRAM-SHA-512" in told(there | {"security_protocol": "SASL_PLAINTEXT"}, status=2)


def test_a_client_shows_a_certificate_where_one_is_wanted(tmp_path: Path) -> None:
    """With its key locked by a password from a file; without the password nobody is asked for it."""
    with Broker(security=Security("SSL")) as broker:
        given = broker.client(USER) | {"log_level": "DEBUG"}
        locked, password = tmp_path / "locked.key", tmp_path / "password"
        password.write_text(PASSWORD, encoding="utf-8")
        openssl("pkey", "-in", given["ssl_keyfile"], "-aes256", "-passout", f"file:{password}", "-out", str(locked))
        given |= {"ssl_keyfile": str(locked)}
        assert "made" in shoal(given | {"ssl_key_password_file": str(password)}, "topics", "create").stdout
        for wrong in ({}, {"ssl_key_password": WRONG}):
            assert "The TLS files" in told(given | wrong, status=2)
        assert "a client's certificate" in told(without(given, "ssl_certfile", "ssl_keyfile"), status=1)


def test_the_page_about_security_names_every_setting_and_role() -> None:
    """And none that isn't there."""
    page = (Path(__file__).parents[2] / "docs" / "security.md").read_text(encoding="utf-8")
    named = {name.lower() for name in re.findall(r"SHOAL_([A-Z_]+)", page)}
    secure = {name for name in Settings.model_fields if name.startswith(("security_", "sasl_", "ssl_"))}
    assert secure <= named <= set(Settings.model_fields)
    told = re.findall(r"^\| (\w+) \| .* \| .* \|$", page.partition("could not")[2], re.MULTILINE)
    assert sorted(told) == sorted(ROLES)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN"}, "PLAIN would send the password readable"),
        ({"sasl_username": ""}, "SASL needs sasl_username and sasl_password"),
        ({"sasl_mechanism": "GSSAPI"}, "SHOAL_SASL_MECHANISM"),
        ({"bootstrap_servers": f"{USER}:{PASSWORD}@127.0.0.1:9092"}, "SHOAL_BOOTSTRAP_SERVERS"),
        ({"bootstrap_servers": "127.0.0.1:kafka"}, "SHOAL_BOOTSTRAP_SERVERS"),
    ],
)
def test_settings_that_are_unsafe_or_make_no_sense_are_refused_unsaid(given: Given, change: Given, words: str) -> None:
    """Before anything is connected, without repeating what was given, since that may be the password."""
    with pytest.raises(WrongUsage) as refused:
        load(**(given | change))
    assert words in str(refused.value)
    assert PASSWORD not in "".join(traceback.format_exception(refused.value))


def test_no_password_is_in_what_python_shows_of_settings_and_errors(given: Given) -> None:
    """Neither in reprs nor in dumps nor in the whole chain of an error; the client alone gets it."""
    settings = load(**given, ssl_key_password=WRONG)
    shown = f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()} {vars(settings)}"
    assert [canary for canary in CANARIES if canary in shown] == []
    assert security(settings)["sasl_plain_password"] == PASSWORD

    async def read() -> None:
        async with reader(load(**(given | {"sasl_password": WRONG}))):
            pass

    with pytest.raises(ShoalError) as refused:
        within_a_minute(read())
    assert WRONG not in "".join(traceback.format_exception(refused.value))
