"""Software named in a file's metadata: virtual cameras, screen capture, generators, face swapping, editors.

Names are found as parts of words too ("SnippingTool", "AdobePhotoshopExpress"); short ones, which other words contain,
only as words of their own. The screen-capture and editing keywords of the published table are those of the
`exif_metadata` signal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from detectors.contract import Indication
from detectors.exif import ExifFacts
from detectors.injection.embedded import EmbeddedMetadata
from detectors.signals.exif_metadata import spoof_keyword

#: Code of an indication -> names of its software, as shown.
SOFTWARE: dict[str, tuple[str, ...]] = {
    code: tuple(name.strip() for name in names.split(","))
    for code, names in {
        "virtual_camera": """
            OBS Virtual Camera, OBS-Camera, ManyCam, Snap Camera, XSplit VCam, XSplit, e2eSoft, VCam,
            DroidCam, Iriun, v4l2loopback, EpocCam, iVCam, CamTwist, SparkoCam, ChromaCam, AlterCam,
            WebcamMax, SplitCam, mmhmm, AkVCam, Softcam, Unity Video Capture, Virtual Camera,
            Dummy video device, NVIDIA Broadcast, Virtual Webcam, FakeCam, Camo Studio
        """,
        "face_swap_software": """
            FaceApp, FaceSwap, Reface, DeepFaceLab, DeepFaceLive, FaceFusion, Deep-Live-Cam, Avatarify,
            SwapFace, DeepSwap, FacePlay, roop, Xpression Camera, Face Swap Live, Deepfake
        """,
        "generator_software": """
            Midjourney, DALL-E, Stable Diffusion, ComfyUI, AUTOMATIC1111, InvokeAI, NovelAI,
            Adobe Firefly, OpenAI, ChatGPT, GPT-4o, Bing Image Creator, Leonardo.Ai, Black Forest Labs,
            FLUX.1, StyleGAN, thispersondoesnotexist, Artbreeder, Craiyon, NightCafe, DreamStudio,
            Ideogram, Fooocus, Made with Google AI, Google Imagen, Meta AI, Playground AI, SDXL,
            Generated Photos
        """,
        "capture_software": """
            ShareX, Greenshot, Lightshot, Flameshot, Camtasia, Screenshot, Screen recording, Screencast,
            OBS Studio, Monosnap, Ksnip, Streamlabs, ScreenRec, ScreenToGif, Gyazo
        """,
        "editor_software": """
            Adobe Photoshop, Lightroom, Paint.NET, Affinity Photo, Pixelmator, Snapseed, PicsArt,
            Facetune, Canva, Paint Shop Pro, PaintShop, Photopea, Pixlr, BeFunky, Fotor, Photo Editor,
            PhotoDirector, Meitu, BeautyPlus, BeautyCam, VSCO, Luminar, Capture One, darktable,
            RawTherapee, ACDSee, IrfanView, XnView, Polarr, Remini, Krita, Photoscape, CorelDRAW,
            Airbrush, Adobe ImageReady, Microsoft Paint, PhotoImpact, Photo-Paint, YouCam
        """,
    }.items()
}
#: Keywords of the published table that name an editor; the others name screen capture.
_EDITOR_KEYWORDS = frozenset(("photoshop", "gimp", "preview"))
#: Squeezed names shorter than this stand in ordinary words.
_SHORTEST_PART = 7

_NOT_A_LETTER = re.compile(r"[^a-z0-9]+")
_JOINT = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
#: XMP properties that name a program, as attribute or element (XMP part 1, annex C).
_XMP_NAME = re.compile(
    rb"(?:CreatorTool|softwareAgent|tiff:Software|tiff:Make|tiff:Model)"
    rb"(?:\s{0,8}=\s{0,8}[\"']|\s{0,8}>)([^\"'<>]{1,160})"
)
#: Keywords of a PNG's text under which programs name themselves.
_PNG_NAMES = frozenset(("software", "source", "creator", "creatortool", "generator"))
#: Keys of a C2PA claim and its actions (C2PA 2.2, 10.2 and 18.14).
_MAKER = re.compile(rb"claim_generator|softwareAgent")
MAX_NAMES, MAX_MAKER_BYTES = 64, 128


def software(embedded: EmbeddedMetadata) -> Iterator[Indication]:
    """Indications of every kind of software that the metadata names, each kind once, by its first name."""
    found: dict[str, str] = {}
    for code, name in _found(embedded):
        found.setdefault(code, name)
    for code, name in found.items():
        if code == "editor_software" and embedded.exif.has_camera and embedded.exif.optical:
            words = "The picture was edited after the camera took it"
            yield Indication(code="editor_beside_camera", detail=f"{words}: {name}.")
        else:
            yield Indication(code=code, detail=f"{_WORDS[code]}: {name}.")


_WORDS = {
    "virtual_camera": "The file names a virtual camera, which plays pictures in place of a camera",
    "face_swap_software": "The file names software that changes or swaps faces",
    "generator_software": "The file names software that makes pictures",
    "capture_software": "The file names software that records screens",
    "editor_software": "The file names software that edits pictures, and no camera that took it",
}


def _found(embedded: EmbeddedMetadata) -> Iterator[tuple[str, str]]:
    exif = embedded.exif
    names = tuple(dict.fromkeys(_names(embedded)))
    for facts in (exif, ExifFacts(software=names)):
        if keyword := spoof_keyword(facts):
            yield ("editor_software" if keyword in _EDITOR_KEYWORDS else "capture_software"), keyword
    for text in dict.fromkeys((*exif.software, exif.make, exif.model, f"{exif.make} {exif.model}", *names)):
        yield from _named(text)
    # People write comments too, and a manifest has other words nearby: short ones are no programs.
    for text in (*embedded.comments, *_makers(embedded.manifest)):
        yield from ((code, name) for code, name in _named(text) if len(_squeezed(name)) >= _SHORTEST_PART)


def _names(embedded: EmbeddedMetadata) -> Iterator[str]:
    """Texts outside EXIF in which programs name themselves."""
    yield from (text for keyword, text in embedded.texts if keyword.lower().replace(" ", "") in _PNG_NAMES)
    for number, match in enumerate(_XMP_NAME.finditer(embedded.xmp)):
        if number == MAX_NAMES:
            return
        yield match[1].decode("utf-8", "replace")


def _makers(manifest: bytearray) -> Iterator[str]:
    """Texts behind the keys under which a C2PA manifest names programs, with a little of what follows."""
    for number, match in enumerate(_MAKER.finditer(manifest)):
        if number == MAX_NAMES:
            return
        yield manifest[match.end() : match.end() + MAX_MAKER_BYTES].decode("latin-1")


def _named(text: str) -> Iterator[tuple[str, str]]:
    squeezed = _squeezed(text)
    words = _joined(_NOT_A_LETTER.split(text.lower()) + _NOT_A_LETTER.split(_JOINT.sub(" ", text).lower()))
    for code, names in _TABLE.items():
        for bare, name in names:
            if bare in squeezed if len(bare) >= _SHORTEST_PART else bare in words:
                yield code, name
                break


def _joined(words: list[str]) -> set[str]:
    """Words, words without the digits behind them, and pairs of neighbours: "dall e" is DALL-E."""
    plain = {word.rstrip("0123456789") for word in words}
    return {*words, *plain, *(first + second for first, second in pairwise(words))}


def _squeezed(text: str) -> str:
    return _NOT_A_LETTER.sub("", text.lower())


_TABLE = {code: tuple((_squeezed(name), name) for name in names) for code, names in SOFTWARE.items()}
