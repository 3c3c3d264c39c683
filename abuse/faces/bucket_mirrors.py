"""The mirrors of a worker: which buckets have one, within a number of bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from abuse.faces.bucket_mirror import BucketMirror, nbytes_of
from abuse.faces.face_index import FacePlan, IndexBucket

#: A mirror makes room for another bucket's when it was not looked at for so long: a worker that serves more faces than
#: it has room for leaves the rest to Redis, and doesn't read them again and again.
SPARE_S = 60.0
#: A mirror is given up when it was not looked at for so long; and when it twice in a row lacks a face or has one too
#: many, or grows beyond the room: then it is begun anew so long after.
IDLE_S, AGAIN_S = 600.0, 60.0


class BucketMirrors:
    """Mirrors by bucket, the one looked at longest ago first. Not thread-safe."""

    def __init__(self, plan: FacePlan, clock: Callable[[], float]) -> None:
        self._plan, self._clock = plan, clock
        self._held: OrderedDict[IndexBucket, tuple[BucketMirror, float]] = OrderedDict()
        self._given_up: OrderedDict[IndexBucket, float] = OrderedDict()

    @property
    def nbytes(self) -> int:
        return sum(mirror.nbytes for mirror, _ in self._held.values())

    @property
    def faces(self) -> int:
        return sum(mirror.faces for mirror, _ in self._held.values())

    def of(self, bucket: IndexBucket) -> BucketMirror | None:
        """The bucket's mirror, which counts as looked at."""
        if bucket not in self._held:
            return None
        mirror, _ = self._held.pop(bucket)
        self._held[bucket] = mirror, self._clock()
        return mirror

    def looked_at(self, bucket: IndexBucket, size: int) -> None:
        """Mirrors after a look at the bucket, which had `size` faces: a large bucket gets one, a wrong one is given up,
        and so are others when there is no room."""
        self._forget_idle(IDLE_S)
        if bucket in self._held:
            if self._held[bucket][0].unmatched > 1:
                self._give_up(bucket)
        elif size >= self._plan.mirrored_from and self._may_begin(bucket) and self._makes_room(bucket, size):
            mirror = BucketMirror(bucket.dimensions, self._plan.distance(bucket.model), size)
            self._held[bucket] = mirror, self._clock()
        while self.nbytes > self._plan.mirror_bytes:
            self._give_up(next(iter(self._held)))

    def _give_up(self, bucket: IndexBucket) -> None:
        del self._held[bucket]
        self._given_up[bucket] = self._clock()

    def _may_begin(self, bucket: IndexBucket) -> bool:
        while self._given_up and self._clock() - next(iter(self._given_up.values())) >= AGAIN_S:
            self._given_up.popitem(last=False)
        return bucket not in self._given_up

    def _makes_room(self, bucket: IndexBucket, size: int) -> bool:
        """Whether there is room for a mirror of so many faces, once those that can be spared are gone."""
        needed = nbytes_of(size, bucket.dimensions)
        if needed > self._plan.mirror_bytes:
            return False
        while self.nbytes + needed > self._plan.mirror_bytes:
            if not self._forget_idle(SPARE_S, most=1):
                return False
        return True

    def _forget_idle(self, idle_s: float, most: int | None = None) -> int:
        """Give up mirrors that nobody looked at for so long; the number of them."""
        forgotten = 0
        while self._held and (most is None or forgotten < most):
            bucket, (_, used_s) = next(iter(self._held.items()))
            if self._clock() - used_s < idle_s:
                break
            del self._held[bucket]
            forgotten += 1
        return forgotten
