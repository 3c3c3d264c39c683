"""The gate of sessions: each reason to refuse, and an attempt for each submission, once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given as from_all
from hypothesis import settings
from hypothesis import strategies as st

from abuse.keys.key_periods import HashKey
from abuse.keys.subject_hasher import SubjectHasher
from config.catalogues.error_codes import ErrorCode
from config.limits.capture import ImageLimits
from stream.encryption.reviewer_keys import new_signing_key
from stream.events.message.messages import Refusal, Submission
from stream.events.message.session_terms import FramePart, LivenessMode, SessionTerms
from stream.pipeline.admission.session_gate import NO_SESSIONS
from stream.pipeline.admission.session_refusals import OF_THE_HOLDER, SessionRefusal
from stream.pipeline.intake import intake
from stream.pipeline.verdict.advice import BY_REASON
from stream.sessions.client_network import ClientNetworks
from stream.sessions.gate import SessionTokenGate
from stream.sessions.session import END, MOST_UNSPENT, OUTCOME, AttemptOutcome, SessionEnd, SessionState, session_from
from stream.sessions.session_store import InMemorySessionStore, SessionName
from tests.unit.stream.builders import APPENDED_AT_MS, GUID, OTHER_GUID, bare
from tests.unit.stream.sessions.builders import CREATED_S, Keys, session_record, token_of, tokens

RECORD = session_record()
NETWORKS = ClientNetworks(SubjectHasher([HashKey(id="k1", secret=b"s" * 32)], remember_ms=0))


def submission(number: int = 1, token: str | None = ..., **changes: Any) -> Submission:  # type: ignore[assignment]
    given = bare(submission_id=f"sub-{number}", session_token=token_of(RECORD) if token is ... else token, **changes)
    read = intake.read(given, ImageLimits(), sessions=True)
    assert isinstance(read, Submission), read
    return read


class Scene:
    """A gate over a store with one session."""

    def __init__(self, record=RECORD, **changes: Any) -> None:
        self.record, self.store = record, InMemorySessionStore()
        self.name = SessionName(record.tenant, record.session_id)
        self.gate = SessionTokenGate(store=self.store, tokens=tokens(), networks=NETWORKS, **changes)

    async def admit(self, given: Submission, *, required: bool = False) -> SessionTerms | Refusal | None:
        if not self.store.kept:
            await self.store.create(self.record)
        return await self.gate.admit(given, required=required)

    async def reason(self, given: Submission) -> str:
        answer = await self.admit(given)
        assert isinstance(answer, Refusal), answer
        assert (answer.error, bool(answer.message)) == (ErrorCode.SESSION_INVALID, True)
        return answer.reason

    async def ended(self, state: SessionState, cause: str = "c") -> None:
        await self.store.create(self.record)
        end = SessionEnd(state=state, at_ms=APPENDED_AT_MS, cause=cause, used=0)
        await self.store.add(self.name, {END: end.to_text()})

    async def used(self) -> int:
        session = session_from(await self.store.read(self.name))
        assert session is not None
        return session.used


FORGED = tokens(keys=Keys({"k1": new_signing_key("k1")})).sign(RECORD.claims, "k1")
NO_ALGORITHM = "eyJhbGciOiJub25lIn0." + token_of(RECORD).split(".")[1] + "."
REFUSED = {
    "malformed": (submission(token="x"), SessionRefusal.TOKEN_MALFORMED),
    "alg none": (submission(token=NO_ALGORITHM), SessionRefusal.TOKEN_ALGORITHM),
    "forged": (submission(token=FORGED), SessionRefusal.TOKEN_FORGED),
    "unknown key": (
        submission(token=tokens(keys=Keys({"k9": new_signing_key("k9")})).sign(RECORD.claims, "k9")),
        SessionRefusal.TOKEN_UNKNOWN_KEY,
    ),
    "other installation": (
        submission(token=tokens(audience="other").sign(RECORD.claims, "k1")),
        SessionRefusal.OTHER_INSTALLATION,
    ),
    "expired": (submission(token=token_of(RECORD, expires_s=APPENDED_AT_MS // 1000)), SessionRefusal.TOKEN_EXPIRED),
    "not yet valid": (submission(token=token_of(RECORD, issued_s=CREATED_S + 100)), SessionRefusal.TOKEN_NOT_YET_VALID),
    "other tenant": (submission(tenant="acme"), SessionRefusal.OTHER_TENANT),
    "no tenant": (submission(token=token_of(RECORD, tenant="acme")), SessionRefusal.OTHER_TENANT),
    "other correlation id": (submission(correlation_id=OTHER_GUID), SessionRefusal.OTHER_CORRELATION_ID),
    "other session": (submission(session_id="ls_2"), SessionRefusal.OTHER_SESSION),
    "unknown session": (submission(token=token_of(session_record(9))), SessionRefusal.UNKNOWN),
    "token of a session created anew": (submission(token=token_of(RECORD, token_id="jti-0")), SessionRefusal.UNKNOWN),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_refused_by_its_reason(case):
    scene, (given, reason) = Scene(), REFUSED[case]
    assert await scene.reason(given) == reason
    assert await scene.used() == 0


@pytest.mark.parametrize(
    "forged",
    [
        {"correlation_id": OTHER_GUID},
        {"expires_s": RECORD.expires_s + 9_999},
        {"issued_s": RECORD.created_s - 1},
        {"token_id": "jti-0"},
        {"capture_key": {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}},
    ],
)
async def test_stolen_key(forged):
    """A token that is rightly signed, and was never issued."""
    given = submission(token=token_of(RECORD, **forged), correlation_id=forged.get("correlation_id", GUID))
    assert await Scene().reason(given) == SessionRefusal.UNKNOWN


async def test_terms_of_a_session():
    record = session_record(
        mode=LivenessMode.ACTIVE,
        challenges=("smile", "blink"),
        colours=("red", "blue", "red", "white"),
        colour_ms=300,
        threshold=60,
        attempts=3,
    )
    scene = Scene(record)
    assert await scene.admit(submission(token=token_of(record), session_id=record.session_id)) == SessionTerms(
        session_id=record.session_id,
        mode=LivenessMode.ACTIVE,
        active=True,
        threshold=60,
        challenges=("smile", "blink"),
        colours=("red", "blue", "red", "white"),
        colour_ms=300,
        attempt=1,
        attempts_allowed=3,
        nonce=record.token_id,
    )


async def test_records_of_one_submission_have_one_attempt():
    scene, whole = Scene(), submission(1)
    parts = [
        replace(whole, part=FramePart(frame_index=index, frame_count=8), fingerprint=f"{index:032x}")
        for index in range(8)
    ]
    terms = [await scene.admit(part) for part in (*parts, *parts)]
    assert terms == [terms[0]] * 16
    assert await scene.used() == 1


async def test_token_is_missed_where_it_is_required():
    without = submission(token=None)
    for scene, required, refused in (
        (Scene(), False, False),
        (Scene(), True, True),
        (Scene(required=True), False, True),
    ):
        answer = await scene.admit(without, required=required)
        assert (answer is None) is not refused
        assert not refused or (isinstance(answer, Refusal) and answer.reason == SessionRefusal.TOKEN_MISSING)
    answer = await NO_SESSIONS.admit(without, required=True)
    assert isinstance(answer, Refusal), "a tenant's requirement outlives the keys"
    assert await NO_SESSIONS.admit(without, required=False) is None


async def test_same_submission_spends_one_attempt():
    scene = Scene()
    first = await scene.admit(submission(1))
    assert [await scene.admit(submission(1)) for _ in range(3)] == [first] * 3
    assert await scene.used() == 1


async def test_attempts_are_spent():
    scene = Scene()
    terms = [await scene.admit(submission(number)) for number in (1, 2)]
    assert [each.attempt for each in terms] == [1, 2]
    assert await scene.reason(submission(3)) == SessionRefusal.ATTEMPTS_SPENT
    assert await scene.admit(submission(2)) == terms[1]


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (SessionState.SUCCEEDED, SessionRefusal.ENDED),
        (SessionState.EXPIRED, SessionRefusal.ENDED),
        (SessionState.FAILED, SessionRefusal.ATTEMPTS_SPENT),
        (SessionState.CANCELLED, SessionRefusal.CANCELLED),
    ],
)
async def test_session_that_has_ended(state, reason):
    scene = Scene()
    await scene.ended(state)
    assert [await scene.reason(submission(1)) for _ in range(2)] == [reason] * 2


async def test_submission_that_ended_its_session_is_admitted_again():
    """The decision is stored, or is made again the same."""
    scene = Scene()
    terms = await scene.admit(submission(1))
    await scene.ended(SessionState.SUCCEEDED, cause="attempt:1")
    assert await scene.admit(submission(1)) == terms


async def test_attempts_given_back_are_bounded():
    scene, given = Scene(session_record(attempts=1)), 0
    for number in range(1, 20):
        answer = await scene.admit(submission(number))
        if isinstance(answer, Refusal):
            assert answer.reason == SessionRefusal.ATTEMPTS_SPENT
            break
        given += 1
        await scene.store.add(scene.name, {f"{OUTCOME}{answer.attempt}": AttemptOutcome.UNSPENT})
    assert given == 1 + MOST_UNSPENT


@pytest.mark.parametrize(
    ("expected", "client_ip", "admitted"),
    [
        ("203.0.113.0/24", "203.0.113.9", True),
        ("203.0.113.0/24", "203.0.114.9", False),
        ("203.0.113.9/32", "::ffff:203.0.113.9", True),
        ("2001:db8::/32", "2001:db8::1", True),
        ("2001:db8::/64", "203.0.113.9", False),
        ("203.0.113.0/24", ..., False),
    ],
)
async def test_expected_network(expected, client_ip, admitted):
    keyed = NETWORKS.keyed(None, expected, CREATED_S * 1000)
    assert "203" not in keyed
    record = session_record(network=keyed)
    scene, given = Scene(record), submission(token=token_of(record), client_ip=client_ip)
    if admitted:
        assert isinstance(await scene.admit(given), SessionTerms)
    else:
        assert await scene.reason(given) == SessionRefusal.ADDRESS_UNEXPECTED
        assert await scene.used() == 0


async def test_network_without_hash_keys_is_none():
    record = session_record(network=NETWORKS.keyed(None, "203.0.113.0/24", CREATED_S * 1000))
    scene = Scene(record)
    scene.gate = replace(scene.gate, networks=None)
    assert await scene.reason(submission(token=token_of(record), client_ip="203.0.113.9")) == (
        SessionRefusal.ADDRESS_UNEXPECTED
    )


async def test_active_step():
    record = session_record(mode=LivenessMode.PASSIVE_ACTIVE, challenges=("blink",))
    scene = Scene(record)
    first = await scene.admit(submission(1, token=token_of(record)))
    await scene.store.add(scene.name, {"active": "1"})
    second = await scene.admit(submission(2, token=token_of(record)))
    assert [each.active for each in (first, second)] == [False, True]


def test_every_reason_has_advice():
    assert {str(reason) for reason in SessionRefusal} <= set(BY_REASON)


async def test_strangers_get_nobody_flagged():
    """Only a holder of the person's own token makes an attempt that counts."""
    for given, reason in REFUSED.values():
        answer = await Scene().admit(given)
        assert isinstance(answer, Refusal)
        assert answer.counts is (reason in OF_THE_HOLDER)


async def test_old_token_takes_no_attempt_of_a_session_created_anew():
    """After a loss of Redis an app server makes the session again, and its one attempt is for the new token."""
    record = session_record(attempts=1)
    scene = Scene(record)
    assert await scene.reason(submission(1, token=token_of(record, token_id="jti-0"))) == SessionRefusal.UNKNOWN
    assert isinstance(await scene.admit(submission(2, token=token_of(record))), SessionTerms)


async def test_lost_session_is_no_attempt():
    """After a loss of Redis, people who try again with a good token are not on the way to a pause."""
    answer = await Scene().admit(submission(token=token_of(session_record(9))))
    assert isinstance(answer, Refusal)
    assert (answer.reason, answer.counts) == (SessionRefusal.UNKNOWN, False)


STEP = st.tuples(st.sampled_from(["send", "failed", "unspent"]), st.integers(1, 9))


@settings(deadline=None, derandomize=True, database=None, max_examples=200)
@from_all(steps=st.lists(STEP, max_size=40), allowed=st.integers(1, 3))
async def test_no_order_gives_an_attempt_more(steps, allowed):
    """Submissions in any order, each as often as it likes, and outcomes at any time: a submission keeps its attempt,
    and those admitted without one given back are never more than allowed."""
    scene, attempts, unspent = Scene(session_record(attempts=allowed)), dict[int, int](), set[int]()
    for action, number in steps:
        if action == "send":
            answer = await scene.admit(submission(number))
            if isinstance(answer, SessionTerms):
                assert attempts.setdefault(number, answer.attempt) == answer.attempt
            else:
                assert number not in attempts
        elif number in attempts:
            held = await scene.store.add(scene.name, {f"{OUTCOME}{attempts[number]}": action})
            unspent |= {number} if held[f"{OUTCOME}{attempts[number]}"] == "unspent" else set()
        assert len(attempts) - min(len(unspent), MOST_UNSPENT) <= allowed
    assert sorted(attempts.values()) == list(range(1, len(attempts) + 1))
