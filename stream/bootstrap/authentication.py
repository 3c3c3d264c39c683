"""Components that tell who wrote a record, made from settings: MACs of internal records, signatures of commands."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from abuse.event_time import MS
from abuse.keys.key_periods import HashKey
from config.settings import Settings
from stream.bootstrap.abuse import keys_of
from stream.events.authentication.group_macs import GroupMacs
from stream.events.authentication.record_mac import RecordMacs
from stream.events.message.messages import Record
from stream.events.topics import Topic, topic_name
from stream.review.command_signatures import CommandSignatures
from stream.review.reviewers import ReviewersFile
from stream.runtime.clock import SYSTEM_CLOCK, Clock

log = structlog.get_logger()


def record_keys(settings: Settings) -> Sequence[HashKey]:
    """Keys of the MACs; none where internal records are not authenticated."""
    return keys_of(settings.records.keys)


def unsigned_until_ms(settings: Settings) -> int:
    """The moment before which a record is believed without a MAC; 0 for none."""
    moment = settings.records.unsigned_until
    return 0 if moment is None else round(moment.timestamp() * MS)


def open_macs(settings: Settings, clock: Clock = SYSTEM_CLOCK) -> RecordMacs:
    """MACs of an installation."""
    return RecordMacs(
        record_keys(settings),
        {topic_name(topic, settings.kafka): topic for topic in Topic},
        clock.now_ms,
        unsigned_until_ms(settings),
    )


def believed_by(settings: Settings) -> Callable[[Record], bool]:
    """Whether a record is a worker's, as far as the record keys here tell; without any, each one is."""
    macs = open_macs(settings)
    return lambda record: macs.fault(record) is None


def open_group_macs(settings: Settings) -> GroupMacs:
    """MACs of detector groups, by each group's own keys."""
    keys = settings.join.group_keys
    return GroupMacs(
        {
            group: [key.secret.get_secret_value().encode() for key in keys if key.group == group]
            for group in {key.group for key in keys}
        }
    )


def open_reviewers(settings: Settings) -> ReviewersFile | None:
    """Reviewers, read once. Blocks. Raises SettingsError naming an unusable file."""
    if settings.commands.reviewers is None:
        return None
    file = ReviewersFile(settings.commands.reviewers)
    file.open()
    return file


def signatures_by(settings: Settings, reviewers: ReviewersFile | None) -> CommandSignatures:
    """Check of commands' signatures by these reviewers; without any, a signed command is refused."""
    required = settings.commands.require_signature
    return (
        CommandSignatures(required=required)
        if reviewers is None
        else CommandSignatures(find=reviewers.find, required=required)
    )


def say_what_is_believed(settings: Settings) -> None:
    """Warning of a process that starts: whose records it believes without proof."""
    until = settings.records.unsigned_until
    if not settings.records.keys:
        log.warning(
            "records_not_authenticated",
            why="any writer of an internal topic can decide LIVE for anybody, and forge flags",
            mend="set LIVENESS_RECORDS__KEYS, the same in every worker and notifier",
        )
    elif until is not None and SYSTEM_CLOCK.now_ms() < unsigned_until_ms(settings):
        log.warning("unsigned_records_believed", until=until.isoformat())


def say_what_is_obeyed(settings: Settings) -> None:
    """Line of a process that carries out commands, where anybody who may write one is obeyed."""
    if not settings.commands.require_signature:
        log.info(
            "unsigned_commands_obeyed",
            why="any writer of the commands topic decides as a reviewer",
            mend="give reviewers keys (liveness keys reviewer), then set LIVENESS_COMMANDS__REQUIRE_SIGNATURE",
        )
