"""Settings: where they come from, which win, what is refused at start-up, and that secrets never show."""

from __future__ import annotations

import pytest

from config.errors import SettingsError
from config.legal_values import Group
from config.settings import Settings, load

SECRET = "Zebra-Secret"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch):
    """An environment with these variables only."""
    import os

    for name in [name for name in os.environ if name.startswith("LIVENESS_")]:
        monkeypatch.delenv(name)

    def have(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(f"LIVENESS_{name}", value)

    return have


def test_without_any_setting_there_are_sound_defaults(environment):
    settings = load()
    assert settings.kafka.bootstrap_servers == "127.0.0.1:9092"
    assert settings.group_id == "liveness"
    assert settings.redis_prefix == "liveness:"
    assert settings.policy().name == "default"


def test_the_environment_reaches_every_level(environment):
    environment(
        KAFKA__BOOTSTRAP_SERVERS="a.example:9092,[::1]:9093",
        KAFKA__TOPIC_PREFIX="eu.",
        REDIS__URL="rediss://user:pw@redis.example:6380/2",
        DETECTION__SLOTS="3",
        LOG__LEVEL="debug",
        SOURCE="/bank/liveness",
    )
    settings = load()
    assert settings.kafka.bootstrap_servers == "a.example:9092,[::1]:9093"
    assert settings.detection.slots == 3
    assert settings.log.level == "debug"
    assert settings.source == "/bank/liveness"


def test_the_prefix_sets_installations_apart(environment):
    environment(KAFKA__TOPIC_PREFIX="eu.")
    settings = load()
    assert settings.group_id == "eu.liveness"
    assert settings.redis_prefix == "eu.liveness:"


def test_group_and_key_prefix_can_be_set_by_themselves(environment):
    environment(KAFKA__TOPIC_PREFIX="eu.", KAFKA__GROUP_ID="mine", REDIS__KEY_PREFIX="")
    settings = load()
    assert settings.group_id == "mine"
    assert settings.redis_prefix == ""


@pytest.mark.parametrize("hours", [1, 2, 3, 4, 6, 8, 12, 24])
def test_a_key_of_faces_spans_hours_that_divide_a_day(environment, hours):
    assert load().abuse.face_span_h == 1
    environment(ABUSE__FACE_SPAN_H=str(hours))
    assert load().abuse.face_span_h == hours


def config_file(tmp_path, text: str) -> str:
    file = tmp_path / "liveness.toml"
    file.write_text(text)
    return str(file)


FILE = '[kafka]\ntopic_prefix = "file."\npartitions = 3\n[log]\nlevel = "error"\n'


def test_a_file_is_read_and_the_environment_wins(environment, tmp_path):
    environment(CONFIG=config_file(tmp_path, FILE), KAFKA__TOPIC_PREFIX="env.")
    settings = load()
    assert settings.kafka.topic_prefix == "env."
    assert settings.kafka.partitions == 3  # the rest of the group is still the file's
    assert settings.log.level == "error"


def test_an_override_in_code_wins_over_both(environment, tmp_path):
    environment(CONFIG=config_file(tmp_path, FILE), SOURCE="env")
    assert load(source="code").source == "code"


def refused(*words: str) -> None:
    with pytest.raises(SettingsError) as error:
        load()
    message = str(error.value)
    for word in words:
        assert word in message
    assert SECRET not in message
    assert error.value.__cause__ is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kafka = ", ["LIVENESS_CONFIG"]),
        (f'[kafka]\nnope = "{SECRET}"', ["kafka.nope"]),
        (f'colour = "{SECRET}"', ["colour"]),
        ("[kafka]\npartitions = 0", ["kafka.partitions"]),
        (f'[redis]\nurl = "{SECRET}"', ["redis.url"]),
    ],
)
def test_a_file_with_mistakes_is_refused(environment, tmp_path, text, words):
    environment(CONFIG=config_file(tmp_path, text))
    refused(*words)


def test_a_file_that_is_missing_is_refused(environment, tmp_path):
    environment(CONFIG=str(tmp_path / "missing.toml"))
    refused("LIVENESS_CONFIG", "missing.toml")


def test_a_folder_is_no_file(environment, tmp_path):
    environment(CONFIG=str(tmp_path))
    refused("LIVENESS_CONFIG")


def test_a_file_that_is_not_text_is_refused(environment, tmp_path):
    (tmp_path / "liveness.toml").write_bytes(b"\xff\xfe")
    environment(CONFIG=str(tmp_path / "liveness.toml"))
    refused("LIVENESS_CONFIG")


@pytest.mark.parametrize(
    "name", ["KAKFA__BOOTSTRAP_SERVERS", "KAFKA_BOOTSTRAP_SERVERS", "BOOTSTRAP_SERVERS", "REDIS_URL", "X"]
)
def test_a_misspelt_variable_is_not_ignored(environment, name):
    environment(**{name: SECRET})
    refused(f"LIVENESS_{name}", "KAFKA")


@pytest.mark.parametrize("name", ["KAFKA__BOOTSTRAP_SERVER", "REDIS__PASSWORD", "LOG__LEVELS", "HTTP__PORT__X"])
def test_an_unknown_key_of_a_group_is_refused(environment, name):
    environment(**{name: SECRET})
    refused(name.split("__")[0].lower())


@pytest.mark.parametrize("name", ["REQUIRE_REAL", "CACHE_DIR", "TEST_IMAGES", "TEST_MODELS"])
def test_variables_of_the_tests_are_left_alone(environment, name):
    environment(**{name: "x"})
    assert load()


#: variables -> the setting the message names. Each would start and then not work.
ILLEGAL = [
    ({"KAFKA__BOOTSTRAP_SERVERS": ""}, "kafka.bootstrap_servers"),
    ({"KAFKA__BOOTSTRAP_SERVERS": SECRET}, "kafka.bootstrap_servers"),
    ({"KAFKA__BOOTSTRAP_SERVERS": f"kafka://{SECRET}:9092"}, "kafka.bootstrap_servers"),
    ({"KAFKA__BOOTSTRAP_SERVERS": "a:9092,"}, "kafka.bootstrap_servers"),
    ({"KAFKA__BOOTSTRAP_SERVERS": "a:9092, b:9092"}, "kafka.bootstrap_servers"),
    ({"KAFKA__BOOTSTRAP_SERVERS": "a:0"}, "kafka.bootstrap_servers"),
    ({"KAFKA__BOOTSTRAP_SERVERS": "a:65536"}, "kafka.bootstrap_servers"),
    ({"KAFKA__TOPIC_PREFIX": "a b"}, "kafka.topic_prefix"),
    ({"KAFKA__TOPIC_PREFIX": "p" * 81}, "kafka.topic_prefix"),
    ({"KAFKA__TOPIC_PREFIX": "a\n"}, "kafka.topic_prefix"),
    ({"KAFKA__GROUP_ID": ""}, "kafka.group_id"),
    ({"KAFKA__PARTITIONS": "0"}, "kafka.partitions"),
    ({"KAFKA__PARTITIONS": "many"}, "kafka.partitions"),
    ({"KAFKA__REPLICATION_FACTOR": "-2"}, "kafka.replication_factor"),
    ({"KAFKA__MAX_EVENT_BYTES": "1000"}, "kafka.max_event_bytes"),
    ({"KAFKA__MAX_EVENT_BYTES": str(10 * 1024 * 1024)}, "kafka.max_event_bytes"),
    ({"KAFKA": f'{{"nope": "{SECRET}"}}'}, "kafka.nope"),
    ({"KAFKA": f"{{{SECRET}"}, '"kafka"'),
    ({"REDIS__URL": ""}, "redis.url"),
    ({"REDIS__URL": SECRET}, "redis.url"),
    ({"REDIS__URL": f"http://:{SECRET}@redis:6379"}, "redis.url"),
    ({"REDIS__URL": f"redis://:{SECRET}@redis:99999/0"}, "redis.url"),
    ({"REDIS__URL": f"redis://:{SECRET}@redis:port/0"}, "redis.url"),
    ({"REDIS__URL": "redis://"}, "redis.url"),
    ({"REDIS__KEY_PREFIX": "{tag}"}, "redis.key_prefix"),
    ({"REDIS__KEY_PREFIX": "a b"}, "redis.key_prefix"),
    ({"REDIS__CALL_TIMEOUT_S": "0"}, "redis.call_timeout_s"),
    ({"REDIS__DECISION_TTL_S": "3599"}, "redis.decision_ttl_s"),
    ({"DETECTION__SLOTS": "0"}, "detection.slots"),
    ({"DETECTION__SLOT_MEMORY_MIB": "100"}, "detection.slot_memory_mib"),
    ({"DELIVERY__SEND_TIMEOUT_S": "0"}, "delivery.send_timeout_s"),
    ({"DELIVERY__SEND_TIMEOUT_S": "nan"}, "delivery.send_timeout_s"),
    ({"DELIVERY__SEND_TIMEOUT_S": "121"}, "delivery.send_timeout_s"),
    ({"DELIVERY__REBALANCE_TIMEOUT_S": "25"}, "delivery.rebalance_timeout_s"),
    ({"DELIVERY__STALL_TIMEOUT_S": "25"}, "delivery.stall_timeout_s"),
    ({"ABUSE__FACE_SPAN_H": "0"}, "abuse.face_span_h"),
    ({"ABUSE__FACE_SPAN_H": "5"}, "abuse.face_span_h"),
    ({"ABUSE__FACE_SPAN_H": "48"}, "abuse.face_span_h"),
    ({"ABUSE__FACE_SPAN_H": "1.5"}, "abuse.face_span_h"),
    ({"ABUSE__FACES_AN_HOUR": "0"}, "abuse.faces_an_hour"),
    ({"HTTP__PORT": "65536"}, "http.port"),
    ({"LOG__LEVEL": "loud"}, "log.level"),
    ({"LOG__FORMAT": "xml"}, "log.format"),
    ({"SOURCE": ""}, "source"),
    ({"SOURCE": "a b"}, "source"),
    ({"POLICY_FILE": "missing.toml"}, "policy_file"),
]


@pytest.mark.parametrize(
    ("variables", "named"), ILLEGAL, ids=[f"{next(iter(v))}-{n}" for n, (v, _) in enumerate(ILLEGAL)]
)
def test_settings_that_can_not_work_are_refused_by_name(environment, variables, named):
    environment(**variables)
    refused(named)


@pytest.mark.parametrize(
    "text", [SECRET, f"k1:{SECRET}", f"[{{id: k1, secret: {SECRET}}}]", f"['{SECRET}']", f'["{SECRET}"']
)
def test_hash_keys_that_are_no_json_are_named(environment, text):
    environment(ABUSE__HASH_KEYS=text)
    refused("LIVENESS_ABUSE__HASH_KEYS must be a JSON list")


@pytest.mark.parametrize("text", [f'"{SECRET}"', f'{{"k1": "{SECRET}"}}', "7", f'["{SECRET}"]', ""])
def test_hash_keys_of_another_shape_are_named(environment, text):
    environment(ABUSE__HASH_KEYS=text)
    refused("abuse.hash_keys")


def test_sound_hash_keys_are_not_blamed_for_another_variable(environment):
    environment(ABUSE__HASH_KEYS="[]", KAFKA=f"{{{SECRET}")
    refused('"kafka"')


def test_several_mistakes_are_named_at_once(environment):
    environment(KAFKA__PARTITIONS="0", HTTP__PORT="-1", LOG__LEVEL="loud")
    refused("kafka.partitions", "http.port", "log.level")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[deadlines]\nevent_s = 60", ["delivery.rebalance_timeout_s", "60"]),
        ("[image]\nmax_bytes = 20000000", ["kafka.max_event_bytes", "20000000"]),
        ("[weights]\nsharpness = 0.9", ["policy.weights", "sum to 1"]),
        ('colour = "green"', ["policy.colour"]),
        ("name = ", ["policy_file"]),
    ],
)
def test_a_policy_that_does_not_go_with_the_settings_is_refused(environment, tmp_path, text, words):
    environment(POLICY_FILE=config_file(tmp_path, text))
    refused(*words)


def test_secrets_print_as_stars(environment):
    environment(REDIS__URL=f"redis://user:{SECRET}@redis:6379/0")
    settings = load()
    assert SECRET in settings.redis.url.get_secret_value()
    for shown in (repr(settings), str(settings), settings.model_dump_json(), repr(settings.redis), f"{settings.redis}"):
        assert SECRET not in shown
        assert "**********" in shown


@pytest.mark.parametrize(
    "url", ["redis://redis:6379/0", "rediss://:pw@redis/1", "unix:///run/redis.sock", "redis://[::1]"]
)
def test_the_ways_to_name_a_redis(environment, url):
    environment(REDIS__URL=url)
    assert load().redis.url.get_secret_value() == url


def test_settings_do_not_change_under_way(environment):
    settings = load()
    with pytest.raises(ValueError, match="frozen"):
        settings.source = "other"
    with pytest.raises(ValueError, match="frozen"):
        settings.kafka.partitions = 1


def test_every_group_refuses_unknown_keys():
    for name, field in Settings.model_fields.items():
        group = field.annotation
        if isinstance(group, type) and issubclass(group, Group):
            assert group.model_config["extra"] == "forbid", name
            assert group.model_config["frozen"], name
