"""Detector groups: consumer groups of other processes, in any language, whose readings a decision waits for.

Data only. A group is named by the policy; its readings are shown in a decision under names with `PREFIX`.
"""

from __future__ import annotations

#: Before group and name in the name of a group's signal.
PREFIX = "group_"
#: Name of a group: short, and without the sign that parts a group's name from that of a reading.
NAME = r"^[a-z0-9]{1,16}$"
#: Name that the frames of a submission have where a group's results have the group's.
RESERVED = "frame"
#: Groups that a decision may wait for: with twelve frames a set of parts then has at most sixty.
MOST_GROUPS = 4
