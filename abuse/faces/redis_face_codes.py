"""The codes of faces on Redis, where those of faces that leave the index are overwritten."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from typing import cast

import numpy as np

from abuse.faces.bucket_mirror import PAGE
from abuse.faces.face_codes import codes_from, face_hash, layout
from abuse.faces.face_index import IndexBucket
from abuse.faces.redis_face_commands import FaceCommands
from abuse.redis_port import Command, RedisClient, reading


class RedisFaceCodes:
    """Where each face's codes stand in a bucket, found by reading them. Called by erasure and re-keying.

    Codes are never moved: what is known of the bucket that was asked for last stays true, so that moving the faces of a
    bucket one by one reads its codes once. Calls at the same time go one after the other.
    """

    def __init__(self, calls: RedisClient, commands: FaceCommands) -> None:
        self._calls, self._commands = calls, commands
        self._bucket: IndexBucket | None = None
        self._end = 0
        self._places: dict[int, list[int]] = {}
        self._turn = asyncio.Lock()

    async def blank(self, faces: Iterable[tuple[IndexBucket, tuple[str, str]]]) -> None:
        """Overwrite all codes of these faces, given by bucket, correlation id and submission id. May be repeated.
        Raises `config.errors.Unavailable`, ForeignValue."""
        async with self._turn:
            await self._blank(faces)

    async def _blank(self, faces: Iterable[tuple[IndexBucket, tuple[str, str]]]) -> None:
        commands: list[Command] = []
        for bucket, name in sorted(faces, key=lambda face: face[0].name):
            await self._read_on(bucket)
            for place in self._places.get(face_hash(*name), ()):
                commands += self._commands.blank(bucket, place)
        if commands:
            await self._calls.execute(commands)

    async def _read_on(self, bucket: IndexBucket) -> None:
        """The places of all codes that the bucket has by now."""
        if bucket != self._bucket:
            self._bucket, self._end, self._places = bucket, 0, defaultdict(list)
        length = layout(bucket.dimensions).itemsize
        while True:
            asked = self._commands.read_codes(bucket, self._end, self._end + PAGE * length - 1)
            (packed,) = await self._calls.execute([asked])
            with reading(str(asked[1])):
                names = codes_from(cast(bytes, packed), bucket.dimensions)["face"]
            for number in np.flatnonzero(names):
                self._places[int(names[number])].append(self._end + int(number) * length)
            self._end += len(names) * length
            if len(names) < PAGE:
                return
