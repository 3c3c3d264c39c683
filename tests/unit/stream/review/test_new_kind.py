"""A kind of command nobody knew before: a class and a line in the table are all it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import orjson

from abuse.ledger.ledger import Switches
from abuse.review.plan_codec import PlanCodec
from abuse.review.plans import CommandPlan
from abuse.review.refusals import CommandErrorCode, CommandRefused
from stream.events.messages import Output
from stream.events.topics import Topic
from stream.review import commands
from stream.review.kinds.base import Command, ReviewServices
from tests.unit.stream.review.command_cases import Reviewer, moved, sent

KIND = "session.cancel"


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelPlan(CommandPlan):
    session_id: str


class CancelSession(Command):
    """Keeps in the table which session is cancelled, and publishes an event."""

    name: ClassVar[str] = KIND
    plan_codec: ClassVar = PlanCodec(CancelPlan)

    session_id: str

    async def plan(self, services: ReviewServices, at_ms: int) -> CancelPlan:
        if self.session_id in await services.switches.ledger.switches(self.tenant):
            raise CommandRefused(CommandErrorCode.NOTHING_TO_CHANGE, "the session is cancelled already")
        return CancelPlan(changed={"session": self.session_id}, session_id=self.session_id)

    @staticmethod
    async def apply(services: ReviewServices, tenant: str | None, plan: CancelPlan) -> None:
        cancelled: Switches = {plan.session_id: {"active": False}}
        await services.switches.ledger.switch(tenant, cancelled)

    @staticmethod
    def outputs(plan: CancelPlan, topics: Mapping[Topic, str], source: str) -> Sequence[Output]:
        return [Output(topic=topics[Topic.AUDIT], key=None, value=plan.session_id.encode(), headers=())]


def code(answer: dict[str, Any]) -> str:
    return str(answer["error"]["code"])


async def test_new_kind(monkeypatch):
    reviewer = Reviewer()
    assert code(await reviewer.answer(sent(KIND, command_id="too-early"))) == "UNKNOWN_COMMAND"
    monkeypatch.setitem(commands.COMMANDS, KIND, CancelSession)
    assert code(await reviewer.answer(sent(KIND, command_id="malformed"))) == "INVALID_COMMAND"
    given = sent(KIND, session_id="s-1")
    event, answer = await reviewer.obey(given)
    assert event.value == b"s-1"
    assert orjson.loads(answer.value or b"")["changed"] == {"session": "s-1"}
    assert await reviewer.obey(given) == [event, answer]
    assert await reviewer.obey(moved(given)) == [answer]
    assert code(await reviewer.answer(sent(KIND, command_id="c-2", session_id="s-1"))) == "NOTHING_TO_CHANGE"
