"""The base of all commands: the fields that every sender gives, and what each kind of command defines."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from abuse.flags.flag_events import Review
from abuse.review.erasure import Erasures
from abuse.review.plan_codec import PlanCodec
from abuse.review.plans import CommandPlan
from abuse.review.reviews import FlagReviews
from abuse.review.rule_switches import RuleSwitches
from stream.events.message.ids import SHORT_TEXT, SUBMISSION_ID, TENANT
from stream.events.message.messages import Output
from stream.events.topics import Topic
from stream.sessions.desk import SessionDesk

# What a sender may say; `TENANT` is as in submissions.
#: With a flag id before it, still an id that any receiver takes.
COMMAND_ID = SUBMISSION_ID
ACTOR = SHORT_TEXT
REASON = r"^[a-z0-9_]{1,64}$"
#: No control characters: notes are read on terminals.
NOTE = r"^[^\x00-\x1f\x7f-\x9f]{0,1000}$"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewServices:
    """The services by which commands read and write the abuse table."""

    flags: FlagReviews
    switches: RuleSwitches
    erasures: Erasures
    #: None where no keys of sessions are configured.
    sessions: SessionDesk | None = None


class StrictFields(BaseModel):
    """A JSON object of a command: no unknown fields, no conversions, and errors that quote nothing."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


class Command(StrictFields):
    """A sound command of one kind. The kind's own fields are declared in its class."""

    #: The value of the field `command`.
    name: ClassVar[str]
    #: For plans of the type that `plan` returns and `apply` takes.
    plan_codec: ClassVar[PlanCodec[Any]]
    #: Whether the record key may name a person whom the answer must not name: its key is then the command id.
    key_is_private: ClassVar[bool] = False
    #: Whether a command sent again has its records published again, besides the answer.
    answers_again: ClassVar[bool] = False

    command: str
    command_id: Annotated[str, StringConstraints(pattern=COMMAND_ID)]
    actor: Annotated[str, StringConstraints(pattern=ACTOR)]
    reason: Annotated[str, StringConstraints(pattern=REASON)]
    note: Annotated[str, StringConstraints(pattern=NOTE)] = Field("", repr=False)
    tenant: Annotated[str, StringConstraints(pattern=TENANT)] | None = None

    @abstractmethod
    async def plan(self, services: ReviewServices, at_ms: int) -> CommandPlan:
        """The plan that follows from what the table holds at `at_ms` (the broker's UTC milliseconds).

        The stage calls this once a command, or again after a crash before the plan was stored; writes nothing. Raises
        `CommandRefused` if the command changes nothing, `Unavailable` when the table is away.
        """

    @staticmethod
    @abstractmethod
    async def apply(services: ReviewServices, tenant: str | None, plan: Any) -> None:
        """Carry out a stored plan, possibly one of another command with the same id.

        The stage calls this after the plan is stored, and again after a crash: a plan carried out twice has the same
        effect. Raises `Unavailable` when the table is away.
        """

    @staticmethod
    async def outputs(
        services: ReviewServices, tenant: str | None, plan: Any, topics: Mapping[Topic, str], source: str
    ) -> Sequence[Output]:
        """The records to publish besides the answer, the same for the same plan. `source` is the CloudEvents source."""
        return ()

    @staticmethod
    def refused(entry: Mapping[str, Any], topics: Mapping[Topic, str], source: str) -> Sequence[Output]:
        """The records to publish besides the answer that refuses a command; `entry` is that answer."""
        return ()

    @staticmethod
    def plan_told(entry: Mapping[str, Any]) -> Mapping[str, Any]:
        """Fields of a plan that its answer tells, for a command that `answers_again`; a rebuild calls this. Raises
        KeyError, TypeError or ValueError for an entry that no worker wrote."""
        return {}

    def review(self, at_ms: int) -> Review:
        return Review(command_id=self.command_id, actor=self.actor, reason=self.reason, note=self.note, at_ms=at_ms)
