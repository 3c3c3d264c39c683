"""The tensor a network is fed with, made from a square RGB image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFormat:
    """Input of a network: (pixel - mean) * scale per channel, float32, a batch of one image.

    `mean` is in grey levels (0 to 255) and in the order of `colour`.
    """

    colour: Literal["rgb", "bgr"] = "rgb"
    layout: Literal["nchw", "nhwc"] = "nchw"
    mean: tuple[float, float, float]
    scale: float

    def tensor(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """float32 (1, 3, height, width) or (1, height, width, 3) of a uint8 (height, width, 3) RGB image."""
        pixels = rgb if self.colour == "rgb" else rgb[:, :, ::-1]
        mean = np.array(self.mean, np.float32)
        if self.layout == "nchw":  # planes first: subtracting from bytes that lie side by side is four times as fast
            pixels, mean = np.ascontiguousarray(pixels.transpose(2, 0, 1)), mean.reshape(3, 1, 1)
        values = pixels - mean
        values *= np.float32(self.scale)
        return np.ascontiguousarray(values)[np.newaxis]
