"""Settings are checked whole, at start: every problem at once, no secret in the text, exit code 2."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from running_servers import ROOT, bare

from reconciler.process.secret_values import EachOf
from reconciler.process.settings import SECRETS, Api, Database, InvalidSettings, Sync, Webhook, load, secret_source

CANARY = "canary-secret-0123456789-0123456789"
GOOD = {
    "DATABASE_URL": f"host=127.0.0.1 port=1 password={CANARY}",
    "HUBSPOT_ACCESS_TOKEN": f"pat-{CANARY}",
    "HUBSPOT_CLIENT_SECRET": f"client-{CANARY}",
    "HUBSPOT_WEBHOOK_URL": "https://hooks.example.com/hubspot",
    "JWT_SECRET": f"jwt-{CANARY}",
    "TOKEN_ISSUER_KEY": f"issuer-{CANARY}",
}
NEEDED = {
    "api": {"DATABASE_URL", "HUBSPOT_ACCESS_TOKEN", "JWT_SECRET"},
    "webhook": {"DATABASE_URL", "HUBSPOT_ACCESS_TOKEN", "HUBSPOT_CLIENT_SECRET", "HUBSPOT_WEBHOOK_URL"},
    "reconciler": {"DATABASE_URL", "HUBSPOT_ACCESS_TOKEN"},
}


def run(module: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=ROOT, env=bare(environment), capture_output=True, text=True, timeout=30)


@pytest.mark.parametrize("module", sorted(NEEDED))
def test_a_process_without_settings_names_all_it_needs_and_exits_2(module: str) -> None:
    ended = run(module)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert set(ended.stderr.splitlines()) == {f"{name}: is missing" for name in NEEDED[module]}


@pytest.mark.parametrize(
    "command", [["status"], ["db", "init"], ["healthy"], ["erase", "a@b.co"], ["allow", "delete", "1"]]
)
def test_a_command_without_settings_exits_2_too(command: list[str]) -> None:
    ended = run("reconciler", *command)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "DATABASE_URL: is missing" in ended.stderr.splitlines()


@pytest.mark.parametrize(
    "arguments", [["no-such-command"], ["status", "--no-such-option"], ["allow", "delete", "many"], ["db", "x"]]
)
def test_a_wrong_use_of_a_command_exits_2(arguments: list[str]) -> None:
    ended = run("reconciler", *arguments, **GOOD)
    assert ended.returncode == 2
    assert CANARY not in ended.stderr + ended.stdout


def test_every_problem_of_a_process_is_told_at_once_without_a_value(tmp_path: Path) -> None:
    wrong = {
        **GOOD,
        "DATABASE_URL": "",
        "JWT_SECRET": f"{CANARY}"[:20],
        "TOKEN_ISSUER_KEY_FILE": str(tmp_path / "nothing"),
        "HUBSPOT_BASE_URL": f"nonsense {CANARY}",
        "HUBSPOT_RATE_PER_10S": "many",
        "POLL_INTERVAL": "0.1",
        "SWEEP_INTERVAL": "-1",
        "SYNC_DELETES": "sometimes",
        "API_PORT": "70000",
        "API_PROCESSES": "0",
        "LOG_LEVEL": "loud",
        "SYNC_POLICIES": f"{CANARY}=x",
    }
    ended = run("api", **wrong)
    assert ended.returncode == 2
    named = {line.partition(":")[0].removesuffix("_FILE") for line in ended.stderr.splitlines()}
    assert named == {
        *(
            "DATABASE_URL",
            "JWT_SECRET",
            "TOKEN_ISSUER_KEY",
            "HUBSPOT_BASE_URL",
            "HUBSPOT_RATE_PER_10S",
            "POLL_INTERVAL",
        ),
        *("SWEEP_INTERVAL", "SYNC_DELETES", "API_PORT", "API_PROCESSES", "LOG_LEVEL", "SYNC_POLICIES"),
    }
    assert CANARY[:20] not in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_may_stand_in_a_file(tmp_path: Path, name: str) -> None:
    file = tmp_path / "secret"
    secret = f"password={CANARY}"
    file.write_text(f"  {secret}\n\n")
    environment = {**GOOD, f"{name}_FILE": str(file)}
    environment.pop(name, None)
    found = [getattr(load(model, environment), name.lower(), None) for model in (Api, Webhook)]
    assert {value.get_secret_value() for value in found if value is not None} == ({secret} if any(found) else set())


@pytest.mark.parametrize("name", sorted(set(SECRETS) & GOOD.keys()))
def test_a_secret_given_twice_is_a_problem(tmp_path: Path, name: str) -> None:
    file = tmp_path / "secret"
    file.write_text(f"password={CANARY}")
    text = problems(Api, {**GOOD, f"{name}_FILE": str(file)})
    assert text == [f"{name}: set it or {name}_FILE, not both"]


@pytest.mark.parametrize("content", [None, "folder", b"", b" \n", b"\xff\xfe\x00"], ids=repr)
def test_a_file_without_a_usable_secret_is_a_problem_and_no_accident(tmp_path: Path, content: Any) -> None:
    file = tmp_path / CANARY
    if content == "folder":
        file.mkdir()
    elif content is not None:
        file.write_bytes(content)
    environment = {**GOOD, "JWT_SECRET_FILE": str(file)}
    del environment["JWT_SECRET"]
    found = problems(Api, environment)
    assert {problem.partition(":")[0] for problem in found} <= {"JWT_SECRET", "JWT_SECRET_FILE"}


def test_an_empty_variable_is_no_variable() -> None:
    settings = load(Api, {**GOOD, "API_PORT": "", "TOKEN_ISSUER_KEY": " ", "JWT_SECRET_FILE": ""})
    assert (settings.api_port, settings.token_issuer_key) == (8080, None)
    assert problems(Api, {**GOOD, "JWT_SECRET": "  "}) == ["JWT_SECRET: is missing"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("JWT_SECRET", "x" * 31),
            ("JWT_SECRET", "é" * 15),
            ("HUBSPOT_BASE_URL", "api.hubapi.com"),
            ("HUBSPOT_BASE_URL", "ftp://x"),
            ("HUBSPOT_BASE_URL", f"https://user:{CANARY}@x"),
        ),
        *(
            ("HUBSPOT_RATE_PER_10S", "0"),
            ("HUBSPOT_SEARCH_PER_SECOND", "-1"),
            ("HUBSPOT_DAILY_LIMIT", "1e3"),
            ("API_PORT", "0"),
        ),
        *(
            ("POLL_INTERVAL", "0.19"),
            ("POLL_INTERVAL", "nan"),
            ("POLL_INTERVAL", "inf"),
            ("POLL_OVERLAP", "-5"),
            ("API_PORT", "65536"),
        ),
        *(
            ("SYNC_DELETES", "Both"),
            ("SYNC_POLICIES", "phone"),
            ("SYNC_POLICIES", "phone=x"),
            ("SYNC_POLICIES", "x=newest"),
        ),
        *(
            ("DATABASE_POOL", "0"),
            ("API_THREADS", "x"),
            ("OPEN_TOKEN_ISSUER", "maybe"),
            ("SYNC_POLICIES", "phone=newest,company"),
        ),
    ],
)
def test_a_value_that_cannot_be_meant_is_a_problem(name: str, value: str) -> None:
    (problem,) = problems(Api, {**GOOD, name: value})
    assert problem.startswith(f"{name}: ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("HUBSPOT_CLIENT_SECRET", ","),
            ("HUBSPOT_CLIENT_SECRET", "a,"),
            ("HUBSPOT_CLIENT_SECRET", "a, ,b"),
            ("WEBHOOK_PORT", "x"),
        ),
        *(
            ("HUBSPOT_WEBHOOK_URL", "hooks.example.com"),
            ("HUBSPOT_WEBHOOK_URL", "ftp://x/"),
            ("HUBSPOT_WEBHOOK_URL", "https:///x"),
        ),
        *(("HUBSPOT_WEBHOOK_URL", "https://"), ("HUBSPOT_APP_ID", "app"), ("HUBSPOT_WEBHOOK_URL", "https://[x/")),
    ],
)
def test_a_webhook_setting_that_cannot_be_meant_is_a_problem(name: str, value: str) -> None:
    (problem,) = problems(Webhook, {**GOOD, name: value})
    assert problem.startswith(f"{name}: ")


def test_the_defaults_are_the_documented_ones() -> None:
    api, webhook = load(Api, GOOD), load(Webhook, GOOD)
    assert (api.api_host, api.api_port, webhook.webhook_host, webhook.webhook_port) == (
        "127.0.0.1",
        8080,
        "127.0.0.1",
        8081,
    )
    assert str(api.hubspot_base_url) == "https://api.hubapi.com/"
    assert (api.hubspot_rate_per_10s, api.hubspot_search_per_second, api.hubspot_daily_limit) == (100, 5, 250_000)
    assert (api.poll_interval, api.poll_overlap, api.poll_second_look, api.sweep_interval) == (30, 120, 3600, 86400)
    assert (api.sync_deletes, load(Api, {**GOOD, "TOKEN_ISSUER_KEY": ""}).token_issuer_key) == ("both", None)


def test_intervals_go_down_to_a_fifth_of_a_second() -> None:
    assert load(Sync, {**GOOD, "POLL_INTERVAL": "0.2", "SWEEP_INTERVAL": "0.2"}).poll_interval == 0.2


def test_two_client_secrets_are_two_and_the_url_is_kept_as_it_is() -> None:
    settings = load(
        Webhook, {**GOOD, "HUBSPOT_CLIENT_SECRET": "old, new", "HUBSPOT_WEBHOOK_URL": "https://X.example/%3A?a=B"}
    )
    secrets = EachOf(secret_source("HUBSPOT_CLIENT_SECRET", settings.hubspot_client_secret, {}))
    assert list(secrets) == [b"old", b"new"]
    assert settings.hubspot_webhook_url == "https://X.example/%3A?a=B"


def test_settings_do_not_show_their_secrets() -> None:
    for model in (Api, Webhook, Sync):
        settings = load(model, GOOD)
        assert CANARY not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"


@pytest.mark.parametrize("module", ["api", "webhook"])
@pytest.mark.parametrize(
    "url", [f"postgresql://user:{CANARY}@:badport/x", f"nonsense {CANARY}", f"host='{CANARY}", CANARY]
)
def test_a_database_address_that_is_none_is_a_problem_of_settings(module: str, url: str) -> None:
    problem = problems(Api if module == "api" else Webhook, {**GOOD, "DATABASE_URL": url})
    assert [line.partition(":")[0] for line in problem] == ["DATABASE_URL"]
    assert CANARY not in problem[0]


@pytest.mark.parametrize(
    ("slip", "meant"),
    [
        *(("POLL_INTERVALL", "POLL_INTERVAL"), ("HUBSPOT_ACESS_TOKEN", "HUBSPOT_ACCESS_TOKEN")),
        *(
            ("HUBSPOT_ACCESS_TOKEN_FIEL", "HUBSPOT_ACCESS_TOKEN_FILE"),
            ("HUBSOPT_CLIENT_SECRET", "HUBSPOT_CLIENT_SECRET"),
        ),
        *(
            ("DATABSE_URL", "DATABASE_URL"),
            ("API_PROT", "API_PORT"),
            ("LOG_LEVLE", "LOG_LEVEL"),
            ("LOGLEVEL", "LOG_LEVEL"),
        ),
        *(("SYNC_DELETE", "SYNC_DELETES"), ("poll_intervall", "POLL_INTERVAL"), ("WEBHOOK_THREAD", "WEBHOOK_THREADS")),
        *(("JWT_SECRETS", "JWT_SECRET"), ("TOMBSTONES_FILE", "TOMBSTONE_FILE"), ("POOL_INTERVAL", "POLL_INTERVAL")),
    ],
)
@pytest.mark.parametrize("model", [Database, Sync, Api, Webhook])
def test_a_mistyped_setting_is_named_whichever_process_it_is_for(model: Any, slip: str, meant: str) -> None:
    assert problems(model, {**GOOD, slip: CANARY}) == [f"{slip}: is no setting; {meant} is one"]


def test_every_slip_is_named_beside_the_other_problems() -> None:
    ended = run("api", **{**GOOD, "POLL_INTERVALL": CANARY, "HUBSPOT_ACESS_TOKEN": CANARY, "API_PORT": "0"})
    assert (ended.returncode, ended.stdout) == (2, "")
    named = [line.partition(":")[0] for line in ended.stderr.splitlines()]
    assert sorted(named) == ["API_PORT", "HUBSPOT_ACESS_TOKEN", "POLL_INTERVALL"]
    assert CANARY not in ended.stderr


def test_what_others_call_their_variables_is_no_slip() -> None:
    others = (
        *("API_SERVICE_HOST", "API_SERVICE_PORT", "API_PORT_80_TCP", "API_PORT_80_TCP_ADDR", "WEBHOOK_PORT_80_TCP"),
        *("DATABASE_USER", "DATABASE_HOST", "DATABASE_NAME", "DATABASE_PASSWORD", "DATABASE_URL_UNPOOLED"),
        *("APP_PORT", "APP_HOST", "JWT_SECRET_KEY", "LOG_FILE", "API_KEY", "HUBSPOT_API_KEY", "HUBSPOT_PORTAL_ID"),
        *("SANDBOX_ACCESS_TOKEN", "SANDBOX_WEBHOOK_URL", "SANDBOX_PORT", "TEST_DATABASE_URL", "POSTGRES_PASSWORD"),
        *("PATH", "HOME", "PGHOST", "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "SSL_CERT_DIR"),
    )
    assert load(Api, {**GOOD, **dict.fromkeys(others, "x"), "POLL_INTERVALL": " "})


BLANKS = [" {}", "{}\n", "\t{}\r\n", "\xa0{}\u2028", "\n\n{} "]


@pytest.mark.parametrize("blanks", BLANKS)
def test_blanks_around_a_secret_are_not_part_of_it(tmp_path: Path, blanks: str) -> None:
    padded = {name: blanks.format(value) for name, value in GOOD.items()}
    for name in set(SECRETS) & GOOD.keys():
        file = tmp_path / name
        file.write_bytes(b"\xef\xbb\xbf" + padded[name].encode())
        for environment in ({**GOOD, name: padded[name]}, {**GOOD, name: "", f"{name}_FILE": str(file)}):
            model = Webhook if "CLIENT" in name else Api
            assert getattr(load(model, environment), name.lower()).get_secret_value() == GOOD[name]


@pytest.mark.parametrize("token", ["pat one", "pat\none", "pat\x00", "pät", "pat\u2019", "pat\x7f"])
def test_a_token_that_no_header_can_hold_is_a_problem(token: str) -> None:
    assert problems(Api, {**GOOD, "HUBSPOT_ACCESS_TOKEN": CANARY + token})[0].startswith("HUBSPOT_ACCESS_TOKEN: ")


@pytest.mark.parametrize(
    "dsn",
    [
        *(
            "postgresql://a,b/db?target_session_attrs=read-write",
            "postgresql://a:5432,b:5433/db",
            "postgres://a,b:1/db",
        ),
        *("host=a,b port=1,2 target_session_attrs=read-write", "host=a,b dbname=db", "postgresql://[::1]:5,b/db"),
        *("postgresql://%2Ftmp,b/db", "postgresql:///db?host=/tmp", "postgresql:///db?host=a&host=b", "service=x"),
        *("postgresql://u:p%40ss%2Fw@a,b/db", "postgresql://u:p:s#s?@a,b/db", "host = 'a,b' password = 'x y\\'z'"),
        "postgresql://a,b/db?target_session_attrs=prefer-standby&load_balance_hosts=random&connect_timeout=3",
    ],
)
def test_a_database_of_several_hosts_is_one(dsn: str) -> None:
    settings = load(Api, {**GOOD, "DATABASE_URL": dsn, "DATABASE_READ_URL": dsn})
    assert settings.database_url.get_secret_value() == dsn


@pytest.mark.parametrize(
    "dsn",
    [
        *(
            "postgresql://u:{}%zz@h/db",
            "postgresql://u:1/{}@h/db",
            "postgresql://u:p@{}@h/db",
            "postgresql://u:{}/x@h/db",
        ),
        *("postgresql://a:1,b:{}/db", "host=a port={}", "host=a,b port=1,{}", "host=a {}=b", "host=a password='{}"),
        *("postgresql://h/db?{}=1", "postgresql+psycopg://u:{}@h/db", "mysql://u:{}@h/db", "postgresql://u:{} x@h/db"),
        *("host=a port=65536 password={}", "postgresql://u:{}%00@h/db", "postgresql://u:{}@[::1/db", "{}"),
    ],
)
def test_what_libpq_would_complain_about_is_a_problem_without_its_text(dsn: str) -> None:
    assert problems(Api, {**GOOD, "DATABASE_URL": dsn.format(CANARY)})[0].startswith("DATABASE_URL: ")


def problems(model: Any, environment: dict[str, str]) -> list[str]:
    with pytest.raises(InvalidSettings) as raised:
        load(model, environment)
    assert CANARY not in str(raised.value)
    return str(raised.value).splitlines()
