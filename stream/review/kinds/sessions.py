"""Commands of app servers: create a session, and cancel one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import StringConstraints

from abuse.event_time import milliseconds
from abuse.review.plan_codec import PlanCodec
from stream.events.message.messages import Output
from stream.events.topics import Topic
from stream.events.wire.cloud_events import EventType
from stream.events.wire.session_events import SessionEvent, session_output
from stream.review.kinds.base import Command, ReviewServices
from stream.sessions.desk import CancellationPlan, CreationPlan, SessionDesk, not_supported, sessions_off
from stream.sessions.session_request import SessionRequest

SESSION_ID = r"^ls_[0-9a-f]{32}$"


class SessionCommand(Command):
    """The part of a command about sessions that every one has: its answer is on the sessions topic as well."""

    answers_again: ClassVar[bool] = True

    @staticmethod
    def refused(entry: Mapping[str, Any], topics: Mapping[Topic, str], source: str) -> Sequence[Output]:
        names = ("command", "command_id", "tenant", "error", "at")
        unknown: dict[str, Any] = {"retry_count": None, "open_flags": []}
        event = SessionEvent(
            event_type=EventType.SESSION_REFUSAL,
            event_id=f"{entry['command_id']}-refused",
            subject=entry["command_id"],
            tenant=entry["tenant"],
            correlation_id=None,
            document={**{name: entry[name] for name in names}, **unknown, **entry.get("details", {})},
        )
        return [session_output(event, topics[Topic.SESSIONS], source)]


class CreateSession(SessionCommand, SessionRequest):
    """A session with its token, for one check of one person. The same client request token gives the same session."""

    name: ClassVar[str] = "session.create"
    plan_codec: ClassVar = PlanCodec(CreationPlan)
    #: The trail is kept for ever, and names a session's person nowhere.
    key_is_private: ClassVar[bool] = True

    #: Refused by name: a picture has no place in a trail that is kept for ever, and `reference_sha256` names one.
    reference_image: Any = None

    async def plan(self, services: ReviewServices, at_ms: int) -> CreationPlan:
        desk = _desk(services)
        if self.reference_image:
            raise not_supported(["reference_image"])
        return await desk.plan_creation(self.tenant, self, at_ms)

    @staticmethod
    async def apply(services: ReviewServices, tenant: str | None, plan: CreationPlan) -> None:
        if services.sessions is not None:  # the keys may be gone since the plan was made: then nobody could use it
            await services.sessions.create(plan)

    @staticmethod
    async def outputs(
        services: ReviewServices, tenant: str | None, plan: CreationPlan, topics: Mapping[Topic, str], source: str
    ) -> Sequence[Output]:
        event = None if services.sessions is None else await services.sessions.answer(tenant, plan)
        return [] if event is None else [session_output(event, topics[Topic.SESSIONS], source)]

    @staticmethod
    def plan_told(entry: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"session_id": str(entry["changed"]["session_id"]), "asked": ""}


class CancelSession(SessionCommand):
    """A session that takes no more submissions."""

    name: ClassVar[str] = "session.cancel"
    plan_codec: ClassVar = PlanCodec(CancellationPlan)

    session_id: Annotated[str, StringConstraints(pattern=SESSION_ID)]

    async def plan(self, services: ReviewServices, at_ms: int) -> CancellationPlan:
        return await _desk(services).plan_cancellation(self.tenant, self.session_id, self.command_id, at_ms)

    @staticmethod
    async def apply(services: ReviewServices, tenant: str | None, plan: CancellationPlan) -> None:
        if services.sessions is not None:
            await services.sessions.cancel(tenant, plan)

    @staticmethod
    async def outputs(
        services: ReviewServices, tenant: str | None, plan: CancellationPlan, topics: Mapping[Topic, str], source: str
    ) -> Sequence[Output]:
        event = None if services.sessions is None else await services.sessions.cancel(tenant, plan)
        return [] if event is None else [session_output(event, topics[Topic.SESSIONS], source)]

    @staticmethod
    def plan_told(entry: Mapping[str, Any]) -> Mapping[str, Any]:
        """The attempts used are told by the event of the end, which a rebuild writes first."""
        ended = {"cause": entry["command_id"], "at_ms": milliseconds(entry["at"]), "used": 0}
        return {"session_id": str(entry["changed"]["session_id"]), **ended}


def _desk(services: ReviewServices) -> SessionDesk:
    """Raises CommandRefused where no keys of sessions are configured."""
    if services.sessions is None:
        raise sessions_off()
    return services.sessions
