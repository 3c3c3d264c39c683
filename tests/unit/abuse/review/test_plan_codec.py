"""Plans as documents: each type comes back as it went, and a malformed document is an error that quotes nothing."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from abuse.review.plan_codec import PlanCodec, without_effect
from abuse.review.plans import Clearing, CommandPlan, ErasurePlan, FlagPlan, SwitchPlan
from abuse.subjects import SubjectType, correlation
from tests.unit.abuse.builders import guid, subject
from tests.unit.stream.builders import SECRET
from tests.unit.stream.review.command_cases import flag_events

CHANGED = {"flags": [], "note": "\u00e9"}
DEVICE = subject(SubjectType.DEVICE, 1)
PLANS = [
    FlagPlan(changed={}),
    FlagPlan(
        changed=CHANGED,
        events=tuple(flag_events(level=2, tenant="acme")),
        clearings=(Clearing(subject=correlation(guid(1)), name="cleared c-1", text="7"),),
    ),
    SwitchPlan(changed=CHANGED, switches={"device_velocity": {"active": False}}),
    ErasurePlan(changed=CHANGED, erases=type(DEVICE)(type=DEVICE.type, key=DEVICE.key, former=("k0-" + "0" * 32,))),
    ErasurePlan(changed=CHANGED, erases=None),
]


def stored(plan: CommandPlan) -> dict[str, Any]:
    document: dict[str, Any] = orjson.loads(orjson.dumps(PlanCodec(type(plan)).to_document(plan)))
    return document


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: type(plan).__name__)
def test_plan_comes_back(plan):
    assert list(stored(plan)) == ["changed", "events", "clearings", "switches", "erases"], "what former versions read"
    found = PlanCodec(type(plan)).from_document(stored(plan))
    assert found == plan
    if isinstance(plan, ErasurePlan) and plan.erases is not None:
        assert found.erases.former == plan.erases.former, "former keys don't count when subjects are compared"


def test_once_carried_out_an_erasure_names_nobody():
    (plan,) = (plan for plan in PLANS if isinstance(plan, ErasurePlan) and plan.erases is not None)
    assert stored(plan.carried_out()) == without_effect(CHANGED)
    assert [other.carried_out() for other in PLANS[:3]] == PLANS[:3]


@pytest.mark.parametrize(
    ("plan_type", "wrong"),
    [
        (FlagPlan, {"changed": SECRET}),
        (FlagPlan, {"events": [{"flag_id": SECRET}]}),
        (FlagPlan, {"events": SECRET}),
        (FlagPlan, {"clearings": [{"subject": {"type": SECRET, "key": SECRET}, "name": "a", "text": "b"}]}),
        (SwitchPlan, {"switches": None}),
        (SwitchPlan, {"switches": {SECRET: SECRET}}),
        (ErasurePlan, {"erases": {"type": "device"}}),
        (ErasurePlan, {"erases": [SECRET]}),
    ],
)
def test_malformed_document_is_not_quoted(plan_type, wrong):
    (place,) = wrong
    with pytest.raises(ValueError, match=f"^a stored plan with malformed {place}$"):
        PlanCodec(plan_type).from_document({**without_effect({}), **wrong})
