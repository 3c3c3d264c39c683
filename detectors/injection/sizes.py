"""Sizes of a picture: of device screens, of generators, and other than the metadata's."""

from __future__ import annotations

from collections.abc import Iterator

from detectors.contract import Indication
from detectors.image_format import ImageFormat
from detectors.injection.embedded import EmbeddedMetadata

#: Screens in pixels, shorter side first, by their makers' pages. Sizes that cameras have too (4:3, and 1080x1920,
#: which videos have) are left out.
SCREENS = frozenset(
    (
        *((640, 1136), (750, 1334), (828, 1792), (1125, 2436), (1170, 2532), (1179, 2556), (1206, 2622), (1242, 2208)),
        *(
            (1242, 2688),
            (1284, 2778),
            (1290, 2796),
            (1320, 2868),
            (1080, 2340),
            (1668, 2388),
            (1640, 2360),
            (1488, 2266),
        ),
        *((720, 1520), (720, 1560), (720, 1600), (720, 1612), (1080, 2160), (1080, 2220), (1080, 2246), (1080, 2280)),
        *(
            (1080, 2310),
            (1080, 2316),
            (1080, 2376),
            (1080, 2388),
            (1080, 2400),
            (1080, 2408),
            (1080, 2412),
            (1080, 2424),
        ),
        *(
            (1080, 2460),
            (1080, 2520),
            (1220, 2712),
            (1240, 2772),
            (1344, 2992),
            (1440, 2560),
            (1440, 2880),
            (1440, 2960),
        ),
        *((1440, 3040), (1440, 3088), (1440, 3120), (1440, 3200), (1440, 3216), (768, 1366), (900, 1440), (900, 1600)),
        *(
            (1050, 1680),
            (1200, 1920),
            (1080, 2560),
            (1440, 3440),
            (1600, 2560),
            (1664, 2560),
            (1800, 2880),
            (1864, 2880),
        ),
        *((1964, 3024), (2234, 3456), (1080, 1920), (2160, 3840), (2880, 5120), (1824, 2736), (1920, 2880)),
    )
)
#: Sides of the squares that generators make. Few cameras take squares; avatars and crops of other programs are square
#: as well.
GENERATED_SIDES = frozenset((512, 768, 896, 1024, 1536, 2048))


def sizes(embedded: EmbeddedMetadata) -> Iterator[Indication]:
    """Indications by the picture's size, and that no camera is named."""
    exif, size = embedded.exif, (embedded.width, embedded.height)
    if 0 not in exif.pixel_size and sorted(exif.pixel_size) != sorted(size):
        claimed, is_now = (f"{width} x {height}" for width, height in (exif.pixel_size, size))
        detail = f"The metadata are of another picture or an earlier size: they say {claimed} pixels, it has {is_now}."
        yield Indication(code="exif_size_differs", detail=detail)
    if exif.has_camera:
        return
    yield Indication(code="no_camera_metadata", detail="The file names no camera.")
    if embedded.format is ImageFormat.PNG and tuple(sorted(size)) in SCREENS:
        detail = f"The picture has the size of a device's screen, {size[0]} x {size[1]} pixels, and names no camera."
        yield Indication(code="screen_size", detail=detail)
    if size[0] == size[1] in GENERATED_SIDES:
        detail = f"The picture is a square of {size[0]} pixels, as picture generators make, and names no camera."
        yield Indication(code="generator_size", detail=detail)
