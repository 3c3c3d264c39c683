"""Protected templates (ISO/IEC 24745): each is rotated by a secret matrix, another for each tenant, key and model.

The protection holds against an attacker who has the index or a topic and nothing else: protected templates can't be
compared with faces from elsewhere, nor across tenants or keys, nor fed to a network that turns templates into pictures.

The protection is no encryption. The secret undoes it; distances inside one tenant stay as they are, which makes the
index work and shows who resembles whom; and as many pairs of a template with its protected form as a template has
numbers (128, say) give the rotation away.

The matrix is the Q of a QR decomposition of random normal numbers, uniform among rotations and reflections
(Mezzadri 2007, "How to generate random matrices from the classical compact groups"), the numbers by Box and Muller
from SHAKE-256 of the secret and the names. Two machines agree on the matrix to about 1e-15.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from abuse.faces.protected_template import ProtectedTemplate
from abuse.keys.key_periods import HashKey, KeyPeriods

#: Bytes of matrices remembered: 1024 matrices for 128 numbers a template, 64 for 512, 16 for 1024. Making a matrix
#: takes 0.04, 0.4 and 1.7 s (measured, two busy cores).
MOST_REMEMBERED = 128 * 1024 * 1024
DOMAIN = b"liveness face rotation 1"
Matrix = NDArray[np.float64]
#: Tenant, model, key id, dimensions: what a matrix is for.
_Names = tuple[str | None, str, str, int]


class TemplateProtection:
    """The hash keys of an installation, applied to templates. `reach_ms`: how far before and after a submission faces
    are searched. Thread-safe. Raises ValueError unless exactly one key is in force from 0."""

    def __init__(self, keys: Sequence[HashKey], reach_ms: int) -> None:
        self._periods = KeyPeriods(keys)
        self._reach_ms = reach_ms
        self._matrices = _Matrices(MOST_REMEMBERED)

    def transform(self, tenant: str | None, model: str, vector: bytes, at_ms: int) -> ProtectedTemplate:
        """The template (float32, little-endian) under the key in force. Raises ValueError as ProtectedTemplate."""
        key = self._periods.in_force(at_ms)
        plain = ProtectedTemplate(model, key.id, vector)
        return self._turned(plain, key.id, self._matrix(tenant, model, key.id, plain.dimensions))

    def in_force(self, at_ms: int) -> str:
        """The id of the key that faces of this time are enrolled under."""
        return self._periods.in_force(at_ms).id

    def all_in_use(self, at_ms: int) -> tuple[str, ...]:
        """Ids of the keys that faces within reach of this time are under: the key in force first, then the newest."""
        return tuple(key.id for key in self._periods.in_use(at_ms, self._reach_ms))

    def rotate(self, template: ProtectedTemplate, tenant: str | None, to_key_id: str) -> ProtectedTemplate:
        """The same face's template under another key. Raises KeyError when either key is unknown."""
        if to_key_id == template.key_id:
            return template
        old = self._matrix(tenant, template.model, template.key_id, template.dimensions)
        new = self._matrix(tenant, template.model, to_key_id, template.dimensions)
        return self._turned(template, to_key_id, old.T, new)  # never their product, which costs a matrix by a matrix

    def under_all(self, template: ProtectedTemplate, tenant: str | None, at_ms: int) -> tuple[ProtectedTemplate, ...]:
        """The template under every other key in use, to be searched for beside the given one."""
        return tuple(self.rotate(template, tenant, key) for key in self.all_in_use(at_ms) if key != template.key_id)

    @staticmethod
    def _turned(template: ProtectedTemplate, key_id: str, *matrices: Matrix) -> ProtectedTemplate:
        """The template rotated by the matrices, in this order."""
        turned = np.frombuffer(template.vector, "<f4").astype(np.float64)
        for matrix in matrices:
            turned = matrix @ turned
        return ProtectedTemplate(template.model, key_id, turned.astype("<f4").tobytes())

    def _matrix(self, *of: *_Names) -> Matrix:
        found = self._matrices.get(of)
        if found is None:
            found = self._made(*of)
            self._matrices.put(of, found)
        return found

    def _made(self, tenant: str | None, model: str, key_id: str, dimensions: int) -> Matrix:
        key = self._periods.of(key_id)
        names = (key.secret, key_id.encode(), (tenant or "").encode(), model.encode())
        return rotation(DOMAIN + b"".join(len(name).to_bytes(4, "big") + name for name in names), dimensions)


class _Matrices:
    """A cache of the matrices used last, bounded in bytes. Thread-safe; two threads may make the same matrix."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._held: OrderedDict[_Names, Matrix] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, of: _Names) -> Matrix | None:
        with self._lock:
            if of in self._held:
                self._held.move_to_end(of)
            return self._held.get(of)

    def put(self, of: _Names, matrix: Matrix) -> None:
        with self._lock:
            if of in self._held:
                return
            self._held[of] = matrix
            self._bytes += matrix.nbytes
            while self._bytes > self._most_bytes and len(self._held) > 1:
                _, gone = self._held.popitem(last=False)
                self._bytes -= gone.nbytes


def rotation(seed: bytes, dimensions: int) -> Matrix:
    """An orthogonal matrix (dimensions, dimensions), float64, from the seed alone."""
    count = dimensions * dimensions + dimensions % 2  # normal numbers come in pairs
    stream = np.frombuffer(hashlib.shake_256(seed).digest(8 * count), "<u8")
    even, odd = ((stream >> np.uint64(11)).astype(np.float64) * 2.0**-53).reshape(2, -1)
    radius, angle = np.sqrt(-2.0 * np.log1p(-even)), 2.0 * np.pi * odd
    normal = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[: dimensions * dimensions]
    q, r = np.linalg.qr(normal.reshape(dimensions, dimensions))
    # A decomposition is unique only up to the signs; with a positive diagonal of R there is one.
    signed: Matrix = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return signed
