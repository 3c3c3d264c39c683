"""Settings: sources and their order, mistakes refused at start-up, secrets never shown."""

from __future__ import annotations

import os
from operator import attrgetter

import pytest
from pydantic import SecretStr

from config.errors import SettingsError
from config.legal_values import Group
from config.settings import Settings, load

SECRET = "Zebra-Secret"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in os.environ if name.startswith("LIVENESS_")]:
        monkeypatch.delenv(name)

    def have(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(f"LIVENESS_{name}", value)

    return have


def test_environment_reaches_every_level(environment):
    assert (load().kafka.bootstrap_servers, load().policy().name) == ("127.0.0.1:9092", "signals")
    environment(KAFKA__BOOTSTRAP_SERVERS="a.example:9092,[::1]:9093", LOG__LEVEL="debug", SOURCE="/bank/liveness")
    settings = load()
    assert settings.kafka.bootstrap_servers == "a.example:9092,[::1]:9093"
    assert (settings.log.level, settings.source) == ("debug", "/bank/liveness")


@pytest.mark.parametrize(
    ("variables", "group", "prefix"),
    [
        ({}, "liveness", "liveness:"),
        ({"KAFKA__TOPIC_PREFIX": "eu."}, "eu.liveness", "eu.liveness:"),
        ({"KAFKA__TOPIC_PREFIX": "eu.", "KAFKA__GROUP_ID": "mine", "REDIS__KEY_PREFIX": ""}, "mine", ""),
    ],
)
def test_prefix_of_installation(environment, variables, group, prefix):
    environment(**variables)
    assert (load().group_id, load().redis_prefix) == (group, prefix)


def config_file(tmp_path, text: str) -> str:
    file = tmp_path / "liveness.toml"
    file.write_text(text)
    return str(file)


FILE = '[kafka]\ntopic_prefix = "file."\npartitions = 3\n[log]\nlevel = "error"\n'


def test_override_wins_over_environment_over_file(environment, tmp_path):
    environment(CONFIG=config_file(tmp_path, FILE), KAFKA__TOPIC_PREFIX="env.", SOURCE="env")
    settings = load(source="code")
    assert (settings.source, settings.kafka.topic_prefix) == ("code", "env.")
    assert (settings.kafka.partitions, settings.log.level) == (3, "error"), "the rest of the group is still the file's"


def refused(*words: str) -> None:
    with pytest.raises(SettingsError) as error:
        load()
    message = str(error.value)
    for word in words:
        assert word in message
    assert SECRET not in message
    assert error.value.__cause__ is None


#: Variable of a file, its text -> what is named.
FILES = [
    ("CONFIG", "kafka = ", ["LIVENESS_CONFIG"]),
    ("CONFIG", f'[kafka]\nnope = "{SECRET}"', ["kafka.nope"]),
    ("CONFIG", f'colour = "{SECRET}"', ["colour"]),
    ("CONFIG", "[kafka]\npartitions = 0", ["kafka.partitions"]),
    ("CONFIG", f'[redis]\nurl = "{SECRET}"', ["redis.url"]),
    ("POLICY_FILE", "[deadlines]\nevent_s = 60", ["delivery.rebalance_timeout_s", "60"]),
    ("POLICY_FILE", "[image]\nmax_bytes = 20000000", ["kafka.max_event_bytes", "20000000"]),
    ("POLICY_FILE", "[weights]\nsharpness = 0.2", ["policy.file: ", "sum to 1"]),
    ("POLICY_FILE", 'colour = "green"', ["policy.colour"]),
    ("POLICY_FILE", "name = ", ["policy_file"]),
]


@pytest.mark.parametrize(("variable", "text", "words"), FILES)
def test_file_with_mistakes(environment, tmp_path, variable, text, words):
    environment(**{variable: config_file(tmp_path, text)})
    refused(*words)


@pytest.mark.parametrize("name", ["missing.toml", "folder", "bytes.toml"])
def test_unreadable_file_refused(environment, tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    environment(CONFIG=str(tmp_path / name))
    refused("LIVENESS_CONFIG", *(["missing.toml"] if name == "missing.toml" else []))


#: Variables nobody knows -> what is told.
UNKNOWN = {name: f"LIVENESS_{name}" for name in ("KAKFA__X", "KAFKA_BOOTSTRAP_SERVERS", "BOOTSTRAP_SERVERS", "X")}
UNKNOWN |= {
    "KAFKA__BOOTSTRAP_SERVER": "kafka",
    "REDIS__PASSPHRASE": "redis",
    "LOG__LEVELS": "log",
    "HTTP__PORT__X": "http",
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_unknown_variable(environment, name):
    environment(**{name: SECRET})
    refused(UNKNOWN[name])


@pytest.mark.parametrize("name", ["REQUIRE_REAL", "CACHE_DIR", "TEST_IMAGES", "TEST_MODELS"])
def test_variables_of_tests_ignored(environment, name):
    environment(**{name: "x"})
    assert load()


#: setting -> values that would start and then not work.
ILLEGAL = {
    "kafka.bootstrap_servers": (
        *("", SECRET, f"kafka://{SECRET}:9092", "a:9092,", "a:9092, b:9092", "a:0", "a:65536"),
    ),
    "kafka.topic_prefix": ("a b", "p" * 81, "a\n"),
    "kafka.group_id": ("",),
    "kafka.partitions": ("0", "many"),
    "kafka.replication_factor": ("-2",),
    "kafka.max_event_bytes": ("1000", str(10 * 1024 * 1024)),
    "redis.url": (
        *("", SECRET, f"http://:{SECRET}@redis:6379", f"redis://:{SECRET}@redis:99999/0"),
        *(f"redis://:{SECRET}@redis:port/0", "redis://"),
    ),
    "redis.key_prefix": ("{tag}", "a b"),
    "redis.call_timeout_s": ("0",),
    "redis.decision_ttl_s": ("3599",),
    "detection.slots": ("0",),
    "detection.slot_memory_mib": ("100",),
    "delivery.send_timeout_s": ("0", "nan", "121"),
    "delivery.rebalance_timeout_s": ("25",),
    "delivery.stall_timeout_s": ("25",),
    "abuse.face_span_h": ("0", "5", "48", "1.5"),
    "abuse.faces_an_hour": ("0",),
    "http.port": ("65536",),
    "log.level": ("loud",),
    "log.format": ("xml",),
    "source": ("", "a b"),
    "policy_file": ("missing.toml",),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in ILLEGAL.items() for value in values])
def test_illegal_setting_named(environment, name, value):
    environment(**{name.upper().replace(".", "__"): value})
    refused(name)


NOT_JSON = "LIVENESS_ABUSE__HASH_KEYS must be a JSON list"
#: Setting, its value -> what is named.
MALFORMED = [
    *(("KAFKA", f'{{"nope": "{SECRET}"}}', "kafka.nope"), ("KAFKA", f"{{{SECRET}", '"kafka"')),
    *(("ABUSE__HASH_KEYS", text, NOT_JSON) for text in (SECRET, f"k1:{SECRET}", f"['{SECRET}']", f'["{SECRET}"')),
    *(("ABUSE__HASH_KEYS", text, "abuse.hash_keys") for text in (f'"{SECRET}"', f'{{"k1": "{SECRET}"}}', "7", "")),
    ("ABUSE__HASH_KEYS", f'["{SECRET}"]', "abuse.hash_keys"),
]


@pytest.mark.parametrize(("name", "value", "named"), MALFORMED)
def test_malformed_json_named(environment, name, value, named):
    environment(**{name: value})
    refused(named)


def test_valid_hash_keys_not_blamed(environment):
    environment(ABUSE__HASH_KEYS="[]", KAFKA=f"{{{SECRET}")
    refused('"kafka"')


def test_several_mistakes_named(environment):
    environment(KAFKA__PARTITIONS="0", HTTP__PORT="-1", LOG__LEVEL="loud")
    refused("kafka.partitions", "http.port", "log.level")


def test_secrets_print_as_stars(environment):
    environment(REDIS__URL=f"redis://user:{SECRET}@redis:6379/0")
    settings = load()
    assert SECRET in settings.redis.url.get_secret_value()
    for shown in (repr(settings), str(settings), settings.model_dump_json(), repr(settings.redis), f"{settings.redis}"):
        assert SECRET not in shown
        assert "**********" in shown


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("redis.url", url)
            for url in ("redis://r:6379/0", "rediss://:pw@r/1", "unix:///redis.sock", "redis://[::1]")
        ),
        *(("abuse.face_span_h", str(hours)) for hours in (1, 2, 3, 4, 6, 8, 12, 24)),
    ],
)
def test_legal_values(environment, name, value):
    environment(**{name.upper().replace(".", "__"): value})
    held = attrgetter(name)(load())
    assert str(held.get_secret_value() if isinstance(held, SecretStr) else held) == value


def test_settings_are_frozen(environment):
    groups = [field.annotation for field in Settings.model_fields.values()]
    for model in (Settings, *(each for each in groups if isinstance(each, type) and issubclass(each, Group))):
        assert (model.model_config["extra"], model.model_config["frozen"]) == ("forbid", True), model
