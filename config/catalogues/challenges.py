"""Challenges of an active liveness check, and the colours of the light challenge: the names on the wire.

Left and right are the person's own: `head_left` is a turn of the nose towards the person's left shoulder.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

#: Movements that a session may ask for.
Challenge: TypeAlias = Literal["head_left", "head_right", "smile", "blink"]
#: What a frame may answer: a movement, nothing (the person's own rest position), or a colour of the light challenge.
FrameChallenge: TypeAlias = Literal["neutral", "head_left", "head_right", "smile", "blink", "light"]
#: Colours that a screen shows in the light challenge; black is no light of the screen's own.
Colour: TypeAlias = Literal["red", "green", "blue", "cyan", "magenta", "yellow", "white", "black"]

CHALLENGES: tuple[Challenge, ...] = get_args(Challenge)
#: Challenges that show whether a face has depth.
HEAD_TURNS: frozenset[Challenge] = frozenset(("head_left", "head_right"))
COLOURS: tuple[Colour, ...] = get_args(Colour)
NEUTRAL: FrameChallenge = "neutral"
LIGHT: FrameChallenge = "light"
#: Frames of an active liveness check.
FEWEST_FRAMES, MOST_FRAMES = 8, 12
#: Colours of one light challenge, and how long each is shown, milliseconds.
FEWEST_COLOURS, MOST_COLOURS = 4, 8
SHORTEST_COLOUR_MS, LONGEST_COLOUR_MS = 250, 500
