"""Frame sequences rendered from one photograph, and attacks on them, for tests of active liveness.

`genuine` moves, lights and films a head made of the photograph; `ATTACKS` has what an attacker would send instead. The
same arguments give the same bytes. tests/README.md says what such sequences can show and what they can't.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.sequences.footage import genuine
from tests.sequences.order import (
    frozen,
    missing_challenge,
    reordered,
    repeated_frames,
    replayed_session,
    spliced,
    wrong_order,
)
from tests.sequences.prints import bent_photograph, cut_out_eyes, turned_photograph
from tests.sequences.screens import late_colours, screen_with_colours, screen_without_colours
from tests.sequences.sequence import RenderedFrame, RenderedSequence
from tests.sequences.sources import portrait, sources

#: Attacks by name, called like `genuine`; those of `TWO_PEOPLE` take a second person's photograph after the first.
ATTACKS: Mapping[str, Callable[..., RenderedSequence]] = {
    attack.__name__: attack
    for attack in (
        turned_photograph,
        bent_photograph,
        cut_out_eyes,
        replayed_session,
        reordered,
        frozen,
        repeated_frames,
        wrong_order,
        missing_challenge,
        spliced,
        screen_with_colours,
        screen_without_colours,
        late_colours,
    )
}
TWO_PEOPLE = frozenset({"spliced"})
#: Attacks that only a session with the challenge "light" can tell from a genuine sequence.
NEED_LIGHT = frozenset({"screen_with_colours", "screen_without_colours", "late_colours"})

__all__ = [
    "ATTACKS",
    "NEED_LIGHT",
    "TWO_PEOPLE",
    "RenderedFrame",
    "RenderedSequence",
    "genuine",
    "portrait",
    "sources",
]
