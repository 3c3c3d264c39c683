"""Sizes of a picture: of device screens, of generators, and other than the metadata's."""

from __future__ import annotations

from collections.abc import Iterator

from detectors.contract import Indication
from detectors.image_format import ImageFormat
from detectors.injection.embedded import EmbeddedMetadata

#: Screens of phones, tablets and laptops in pixels, shorter side first. Sizes that cameras have too (4:3, and those of
#: videos, in which web pages capture) are left out.
_SCREENS = """
    640x1136 720x1520 720x1560 720x1600 720x1612 750x1334 768x1366 828x1792 900x1440 900x1600 1050x1680
    1080x2160 1080x2220 1080x2246 1080x2280 1080x2310 1080x2316 1080x2340 1080x2376 1080x2388 1080x2400
    1080x2408 1080x2412 1080x2424 1080x2460 1080x2520 1080x2560 1125x2436 1170x2532 1179x2556 1200x1920
    1206x2622 1220x2712 1240x2772 1242x2208 1242x2688 1284x2778 1290x2796 1320x2868 1344x2992 1440x2880
    1440x2960 1440x3040 1440x3088 1440x3120 1440x3200 1440x3216 1440x3440 1488x2266 1600x2560 1640x2360
    1664x2560 1668x2388 1800x2880 1824x2736 1864x2880 1920x2880 1964x3024 2234x3456 2880x5120
"""
SCREENS = frozenset(tuple(map(int, size.split("x"))) for size in _SCREENS.split())
#: Sides of the squares that generators make. Few cameras take squares; avatars and crops of other programs are square
#: as well.
GENERATED_SIDES = frozenset((512, 768, 896, 1024, 1536, 2048))


def sizes(embedded: EmbeddedMetadata) -> Iterator[Indication]:
    """Indications by the picture's size, and that no camera is named."""
    container, exif = embedded.header.container, embedded.exif
    size = container.width, container.height
    if 0 not in exif.pixel_size and sorted(exif.pixel_size) != sorted(size):
        claimed, is_now = (f"{width} x {height}" for width, height in (exif.pixel_size, size))
        detail = f"The metadata are of another picture or an earlier size: they say {claimed} pixels, it has {is_now}."
        yield Indication(code="exif_size_differs", detail=detail)
    if exif.has_camera:
        return
    yield Indication(code="no_camera_metadata", detail="The file names no camera.")
    if embedded.header.format is ImageFormat.PNG and tuple(sorted(size)) in SCREENS:
        detail = f"The picture has the size of a device's screen, {size[0]} x {size[1]} pixels, and names no camera."
        yield Indication(code="screen_size", detail=detail)
    if size[0] == size[1] in GENERATED_SIDES:
        detail = f"The picture is a square of {size[0]} pixels, as picture generators make, and names no camera."
        yield Indication(code="generator_size", detail=detail)
