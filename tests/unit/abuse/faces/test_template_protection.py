"""Protected templates: distances survive the rotation, and nothing else does without the secret."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from abuse.event_time import DAY_MS
from abuse.faces import template_protection
from abuse.faces.protected_template import (
    SCORE_SLACK,
    Distance,
    ProtectedTemplate,
    distances,
    least_score,
    template_from,
)
from abuse.faces.template_protection import TemplateProtection, rotation
from abuse.keys.key_periods import HashKey

K1, K2 = HashKey(id="k1", secret=b"1" * 32), HashKey(id="k2", secret=b"2" * 32, since_ms=10 * DAY_MS)
KEYS = TemplateProtection([K1, K2], DAY_MS)
EUCLIDEAN = Distance.EUCLIDEAN


def template(seed: int, dimensions: int = 128) -> bytes:
    return (np.random.default_rng(seed).standard_normal(dimensions) * 0.12).astype("<f4").tobytes()


def plain(vector: bytes) -> ProtectedTemplate:
    return ProtectedTemplate("m", "k1", vector)


def floats(*numbers: float) -> bytes:
    return np.array(numbers, "<f4").tobytes()


def turned(tenant: str | None = "acme", model: str = "m", at_ms: int = 0, keys: TemplateProtection = KEYS):
    return keys.transform(tenant, model, template(1), at_ms)


def apart(one: ProtectedTemplate, other: ProtectedTemplate) -> float:
    return distances(one, [other], EUCLIDEAN)[0]


@pytest.mark.parametrize("dimensions", [1, 2, 3, 64, 127, 128, 512])
@pytest.mark.parametrize("by", Distance)
def test_distances_survive_the_rotation(dimensions, by):
    one, other = (template(seed, dimensions) for seed in (1, 2))
    rotated = [KEYS.transform("acme", "m", each, 0) for each in (one, other)]
    before = distances(plain(one), [plain(other)], by)
    assert distances(rotated[0], rotated[1:], by) == pytest.approx(before, abs=0.001)


def test_rotation_is_orthogonal_and_known():
    matrix = rotation(b"seed", 128)
    assert np.abs(matrix @ matrix.T - np.eye(128)).max() < 1e-12
    rounded = (matrix * 1e6).round().astype("<i8").tobytes()
    known = "16a6742ddc69934d"
    assert hashlib.sha256(rounded).hexdigest()[:16] == known, "another matrix would make every stored face a stranger"


def test_rotations_are_spread_evenly():
    """Uniform among rotations: an entry has mean 0 and variance 1/n, and half of them turn space inside out."""
    made = np.stack([rotation(b"%d" % seed, 8) for seed in range(400)])
    assert np.abs(made.mean(axis=0)).max() < 0.1
    assert np.abs(made.var(axis=0) - 1 / 8).max() < 0.05
    assert 0.4 < (np.linalg.det(made) > 0).mean() < 0.6


#: Made by the test: a matrix takes longer than the whole file is collected in.
OTHERS = {
    "tenant": lambda: turned("other"),
    "no tenant": lambda: turned(None),
    "model": lambda: turned(model="n"),
    "key": lambda: turned(at_ms=10 * DAY_MS),
    "secret": lambda: turned(keys=TemplateProtection([HashKey(id="k1", secret=b"9" * 32)], 0)),
    "names run together": lambda: turned("acm", "em"),
    "no rotation": lambda: plain(template(1)),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_other_names_make_other_rotations(other):
    assert apart(turned(), other()) > 1.0


def test_template_moves_between_keys():
    old, new = turned(), turned(at_ms=10 * DAY_MS)
    moved = KEYS.rotate(old, "acme", "k2")
    assert (moved.key_id, apart(moved, new)) == ("k2", pytest.approx(0, abs=0.001))
    assert apart(KEYS.rotate(moved, "acme", "k1"), old) < 0.001
    assert KEYS.rotate(old, "acme", "k1") is old
    with pytest.raises(KeyError):
        KEYS.rotate(old, "acme", "k3")


@pytest.mark.parametrize(("dimensions", "tenants"), [(16, 12), (32, 3), (128, 1)])
def test_remembered_matrices_are_bounded(monkeypatch, dimensions, tenants):
    """The matrix used last stays, however large; the matrix unused for longest goes first."""
    made = []
    monkeypatch.setattr(template_protection, "MOST_REMEMBERED", 3 * 32 * 32 * 8)
    monkeypatch.setattr(template_protection, "rotation", lambda seed, size: made.append(seed) or rotation(seed, size))
    keys = TemplateProtection([K1], DAY_MS)

    def used(tenant: int) -> bool:
        """Whether the tenant's matrix was made anew."""
        before = len(made)
        keys.transform(f"t{tenant}", "m", template(1, dimensions), 0)
        return len(made) > before

    assert [used(each) for each in (*range(tenants), *range(tenants))] == [True] * tenants + [False] * tenants
    assert [used(each) for each in (tenants, tenants, 0)] == [True, False, True]


@pytest.mark.parametrize(
    ("days", "expected"),
    [(0, ["k1"]), (8.9, ["k1"]), (9.5, ["k1", "k2"]), (10, ["k2", "k1"]), (10.9, ["k2", "k1"]), (11.1, ["k2"])],
)
def test_keys_are_in_use_within_reach(days, expected):
    at_ms = round(days * DAY_MS)
    assert list(KEYS.all_in_use(at_ms)) == expected
    mine = turned(at_ms=at_ms)
    assert [mine.key_id, *(each.key_id for each in KEYS.under_all(mine, "acme", at_ms))] == expected


KEY_FAULTS = [
    [],
    [K2],
    [K1, HashKey(id="k2", secret=b"2")],
    [K1, HashKey(id="k1", secret=b"2", since_ms=5)],
    [K1, HashKey(id="k2", secret=b"2", since_ms=-5)],
]


@pytest.mark.parametrize("keys", KEY_FAULTS)
def test_ambiguous_keys_are_refused(keys):
    with pytest.raises(ValueError, match="key"):
        TemplateProtection(keys, 0)


@pytest.mark.parametrize(
    ("model", "key_id", "vector"),
    [
        *(("m", "k1", wrong) for wrong in (b"", b"123", floats(0, 0), floats(1, np.nan), floats(1, np.inf))),
        *(("m", "k1", floats(1, 1e6)), ("m", "k|1", template(1))),
        *((name, "k1", template(1)) for name in ("m|n", "m n", "")),
    ],
)
def test_malformed_template_is_refused(model, key_id, vector):
    with pytest.raises(ValueError, match="a template"):
        ProtectedTemplate(model, key_id, vector)


def test_packed_template_keeps_distances():
    one, other = plain(template(1)), plain(template(2))
    again = template_from("m", "k1", one.packed)
    assert len(one.packed) == 256
    assert np.array_equal(again.halves, one.halves)
    exact = float(np.linalg.norm(np.frombuffer(one.vector, "<f4") - np.frombuffer(other.vector, "<f4")))
    assert apart(one, other) == apart(other, again) == pytest.approx(exact, abs=0.0005)
    assert distances(one, [], EUCLIDEAN) == []


def test_repr_hides_vector_and_secret():
    assert "vector" not in repr(plain(template(1)))
    assert "111" not in repr(K1)


@pytest.mark.parametrize("by", Distance)
@pytest.mark.parametrize("within", [0.1, 0.5, 0.9])
def test_near_vectors_have_the_score(by, within):
    chance = np.random.default_rng(3)
    probe = plain(template(1))
    mine, closest = probe.halves, 1.0
    for _ in range(1500):
        step = chance.standard_normal(128)
        other = mine + step / np.linalg.norm(step) * chance.uniform(0, 2 * within) * (1 if by is EUCLIDEAN else 2)
        other *= 1.0 if by is EUCLIDEAN else chance.uniform(0.2, 5)
        far = distances(probe, [plain(other.astype("<f4").tobytes())], by)[0]
        score = (1 + other @ mine / np.linalg.norm(other) / np.linalg.norm(mine)) / 2
        if far <= within:
            closest = min(closest, score)
            assert score >= least_score(probe, within, by) + SCORE_SLACK - 0.0005
    assert closest < 1.0


def test_euclidean_score_bound_is_tight():
    """The widest direction of a ball is that of its tangent."""
    probe, angle = plain(floats(2, 0)), np.arcsin(1.0 / 2.0)
    touching = plain(floats(*(np.array([np.cos(angle), np.sin(angle)]) * 2.0 * np.cos(angle))))
    assert apart(probe, touching) == pytest.approx(1.0, abs=0.001)
    assert least_score(probe, 1.0, EUCLIDEAN) + SCORE_SLACK == pytest.approx((1 + np.cos(angle)) / 2)
    assert least_score(probe, 2.0, EUCLIDEAN) == 0.0
