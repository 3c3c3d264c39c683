"""Fakes of the pipeline's ports, each recording its calls, and the pipeline over them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from abuse.faces.face_bounds import FaceBounds
from abuse.faces.face_index import InMemoryFaceIndex
from abuse.faces.template_protection import TemplateProtection
from abuse.flags.flag_events import PolicyName
from abuse.keys.key_periods import HashKey
from abuse.keys.subject_hasher import SubjectHasher
from abuse.ledger.ledger import InMemoryLedger, Ledger
from abuse.links.large_clusters import InMemoryLargeClusters
from abuse.links.link_store import InMemoryLinkStore
from abuse.links.reuse import Faces, ReuseSearch
from abuse.networks.networks import no_networks
from abuse.origins import OriginReader
from abuse.pictures.media_index import InMemoryMediaIndex
from abuse.pictures.media_keys import MediaKeys
from abuse.rules.engine import AbuseEngine
from abuse.rules.gate import Gate
from abuse.store_time import StillTime
from config.errors import Unavailable
from config.policy import Policy
from detectors.contract import Analysis, Frame
from detectors.pool.outcomes import PoolOutcome, SlotCrashed, SlotTimeout
from detectors.template.impostors import ImpostorModel
from stream.events.authentication.forgeries import Forgeries
from stream.events.authentication.group_macs import GroupMacs
from stream.events.message.messages import Output, Record
from stream.events.topics import Topic
from stream.events.wire.dead_letter import DeadLetters
from stream.events.wire.event_times import LATEST_MS, EventTimes
from stream.pipeline.admission.admission import Admission
from stream.pipeline.admission.session_gate import NO_SESSIONS, SessionGate
from stream.pipeline.capture.marking import MarkKeys, ReferenceExtractor
from stream.pipeline.capture.session_images import SessionImages
from stream.pipeline.decision.abuse_stage import AbuseStage
from stream.pipeline.decision.decide_stage import DecideStage
from stream.pipeline.decision.event_builders import DecisionEvents, FlagEvents, SessionEvents
from stream.pipeline.decision.session_ledger import SessionLedger
from stream.pipeline.decision_store import DecisionStore, InMemoryDecisionStore
from stream.pipeline.detection.detect_stage import DetectStage
from stream.pipeline.detection.fair_turns import FairTurns
from stream.pipeline.join.group_parts import GroupParts
from stream.pipeline.join.join import Join, JoinPlan
from stream.pipeline.join.pending import InMemoryPendingDetections, PendingDetections
from stream.runtime.clock import Clock
from stream.runtime.patience import RetryPolicy
from tests.unit.stream.builders import APPENDED_AT_MS, analysis
from tests.unit.stream.builders import record as make_record

Found = Analysis | SlotTimeout | SlotCrashed


class FakeClock(Clock):
    """Clock that is a step later at each look, so that no two decisions carry the same time."""

    def __init__(self) -> None:
        self.at_ms = APPENDED_AT_MS + 50

    def now_ms(self) -> int:
        self.at_ms += 1
        return self.at_ms

    def monotonic(self) -> float:
        return self.now_ms() / 1000


class FakeAnalyser:
    """Frame pool that returns a given outcome, or a function's; `pictures` holds every analysed image."""

    def __init__(self, found: Found | Callable[[], Awaitable[Found]] | None = None) -> None:
        self.found = analysis() if found is None else found
        self.pictures: list[bytes] = []

    async def analyse(self, frames: Sequence[Frame], *, measured: bool = False) -> PoolOutcome:
        self.pictures += [frame.image for frame in frames]
        found = await self.found() if callable(self.found) else self.found
        return (found,) * len(frames) if isinstance(found, Analysis) else found


class Away:
    """Outage of an in-memory store: its first `times` calls of a name fail. `only` is the beginning of that name."""

    def __init__(self, times: int, only: str = "") -> None:
        self.left = times
        self.only = only
        self.calls: list[str] = []

    def __call__(self, name: str) -> None:
        self.calls.append(name)
        if self.left and name.startswith(self.only):
            self.left -= 1
            raise Unavailable("redis", "ConnectionError")


WEEK_MS = 7 * 86_400_000
#: As measured for the built-in model, rounded.
MODEL = "net-cdcdcdcdcdcd"
IMPOSTORS = ImpostorModel(dof=60.0, scale=0.08)


class Pipeline:
    """Pipeline: both stages over one store, as in a worker; `analyser` and `store` may be shared between pipelines."""

    def __init__(
        self,
        analyser: FakeAnalyser | None = None,
        store: DecisionStore | None = None,
        ledger: Ledger | None = None,
        policy: Policy | None = None,
        reuse: ReuseSearch | None = None,
        keys: Sequence[HashKey] = (HashKey(id="k1", secret=b"s" * 32),),
        sessions: SessionGate = NO_SESSIONS,
        book: SessionLedger | None = None,
        pending: PendingDetections | None = None,
    ) -> None:
        self.flags: list[Output] = []
        self.changes: list[Output] = []
        self.analyser = analyser or FakeAnalyser()
        self.store = store or InMemoryDecisionStore()
        self.patience = RetryPolicy()
        self.clock = FakeClock()
        self.pending, self.time = pending or InMemoryPendingDetections(), StillTime(APPENDED_AT_MS)
        self.ledger: Ledger = ledger or InMemoryLedger()
        policy = policy or Policy()
        engine = AbuseEngine(policy.abuse, PolicyName(name=policy.name, sha256=policy.sha256))
        hasher, face_keys = SubjectHasher(keys, remember_ms=0), TemplateProtection(keys, reach_ms=WEEK_MS)
        self.faces = InMemoryFaceIndex()
        self.reuse = reuse or ReuseSearch(
            pictures=InMemoryMediaIndex(),
            links=InMemoryLinkStore(),
            large=InMemoryLargeClusters(),
            ledger=self.ledger,
            policy=policy.abuse,
            faces=Faces(
                model=MODEL, index=self.faces, keys=face_keys, bounds=FaceBounds(impostors=IMPOSTORS, farthest=0.6)
            ),
        )
        dead_letters = DeadLetters(topic="dead", max_bytes=15 * 1024 * 1024)
        self.detect_stage = DetectStage(
            analyser=self.analyser,
            turns=FairTurns(slots=2, read_ahead=2, share=0.5),
            admission=Admission(
                store=self.store, gate=Gate(self.ledger, engine), patience=self.patience, sessions=sessions
            ),
            origins=OriginReader(hasher, no_networks()),
            marker=ReferenceExtractor(MarkKeys(faces=face_keys, pictures=MediaKeys(keys, reach_ms=WEEK_MS))),
            images=SessionImages(keys=None, topic="images", source="/test", max_bytes=15 * 1024 * 1024),
            clock=self.clock,
            times=EventTimes(StillTime(LATEST_MS), self.patience),
            policy=policy,
            detections_topic="detections",
            dead_letters=dead_letters,
            source="/test",
            sessions=book is not None,
        )
        self.decide_stage = DecideStage(
            store=self.store,
            sessions=book,
            abuse=AbuseStage(
                ledger=self.ledger, engine=engine, reuse=self.reuse, patience=self.patience, policy=policy
            ),
            patience=self.patience,
            clock=self.clock,
            policy=policy,
            dead_letters=dead_letters,
            builders=[
                DecisionEvents(topic="decisions", source="/test"),
                FlagEvents(topic="flags", source="/test"),
                SessionEvents(topic="sessions", source="/test"),
            ],
            join=Join(
                pending=self.pending, patience=self.patience, time=self.time, plan=JoinPlan(groups=tuple(policy.groups))
            ),
            group_parts=GroupParts(
                groups=policy.groups.keys(),
                macs=GroupMacs({}),
                dead_letters=dead_letters,
                forgeries=Forgeries(Topic.DETECTIONS, dead_letters),
            ),
        )

    async def detect(self, given: Record) -> list[Output]:
        return list(await self.detect_stage.handle(given))

    async def decide(self, detection: Output) -> Output:
        """Decision on a detection."""
        assert detection.topic == "detections"
        given = make_record(detection.value, detection.headers, detection.key)
        output, *others = await self.decide_stage.handle(replace(given, topic="detections"))
        self.flags += [other for other in others if other.topic == "flags"]
        self.changes += [other for other in others if other.topic == "sessions"]
        assert {other.topic for other in others} <= {"flags", "sessions"}
        return output

    async def decision(self, given: Record) -> Output:
        """Decision on one submission, through both stages."""
        return await self.decide((await self.detect(given))[-1])
