"""Indications of injection: what a file tells, in each place of each format, and what a clean file doesn't."""

from __future__ import annotations

import io
import struct
import time
import zlib

import pytest
from PIL import Image, PngImagePlugin

from config.catalogues.injection import INDICATIONS, UNCHECKED
from config.limits.capture import ImageLimits
from detectors.contract import Indication, UnknownIndication
from detectors.image_gate import inspect
from detectors.injection import checks
from detectors.injection.capture_times import capture_times, taken_at
from detectors.injection.software import SOFTWARE
from stream.demo.bad_inputs import png_chunk

IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"
CAMERA = {0x010F: "Google", 0x0110: "Pixel 8", "optical": {0x829D: 1.8, 0x8827: 64}}
BASELINE = {"no_camera_metadata"}


def file(kind: str = "JPEG", size: tuple[int, int] = (120, 160), exif: dict | None = None, **options: object) -> bytes:
    block = Image.Exif()
    for tag, value in (exif or {}).items():
        if tag == "optical":
            block.get_ifd(0x8769).update(value)
        else:
            block[tag] = value
    written = io.BytesIO()
    Image.new("RGB", size, (120, 90, 80)).save(written, kind, exif=block, **options)
    return written.getvalue()


def png(**texts: str) -> bytes:
    chunks = PngImagePlugin.PngInfo()
    for keyword, text in texts.items():
        chunks.add_itxt(keyword.replace("_", "-"), text, zip=keyword == "prompt")
    return file("PNG", pnginfo=chunks)


def segment(code: int, payload: bytes) -> bytes:
    """A JPEG with one more segment behind its first."""
    plain = file()
    return plain[:20] + b"\xff" + bytes([code]) + struct.pack(">H", len(payload) + 2) + payload + plain[20:]


def xmp(text: str) -> bytes:
    return segment(0xE1, b"http://ns.adobe.com/xap/1.0/\x00" + text.encode())


def manifest(*packets: bytes) -> bytes:
    """A JPEG with a C2PA box in as many APP11 segments as there are packets."""
    found = file()
    for number, packet in enumerate(packets, 1):
        payload = b"JP\x00\x01" + struct.pack(">I", number) + struct.pack(">I4s", 4096, b"jumb") + packet
        found = (
            found[:20] + b"\xff\xeb" + struct.pack(">H", len(payload) + 2) + payload + found[20:]
            if number == 1
            else (
                found.replace(b"\xff\xdb", b"\xff\xeb" + struct.pack(">H", len(payload) + 2) + payload + b"\xff\xdb", 1)
            )
        )
    return found


def with_chunk(*chunks: bytes) -> bytes:
    """A PNG with more chunks behind its header."""
    plain = file("PNG")
    return plain[:33] + b"".join(chunks) + plain[33:]


def codes(image: bytes) -> set[str]:
    return {each.code for each in checks.indications_of(image, inspect(image, ImageLimits()))}


FILES = {
    "EXIF software": (file(exif={0x0131: "Adobe Photoshop 25.0 (Windows)"}), {"editor_software"}),
    "a part of a word": (file(exif={0x0131: "Microsoft SnippingTool v2"}), {"capture_software"}),
    "joined words": (file(exif={0x0131: "OBSStudio"}), {"capture_software"}),
    "a camera's model": (file(exif={0x0110: "OBS Virtual Camera"}), {"virtual_camera"}),
    "a camera's make": (file(exif={0x010F: "ManyCam LLC", 0x0110: "v5"}), {"virtual_camera"}),
    "a face swap": (file(exif={0x0131: "Reface 3.2"}), {"face_swap_software"}),
    "XMP attribute": (xmp('<x xmp:CreatorTool="Adobe Firefly 2.0"/>'), {"generator_software"}),
    "XMP element": (xmp("<xmp:CreatorTool>DALL-E 3</xmp:CreatorTool>"), {"generator_software"}),
    "XMP history": (xmp('<li stEvt:softwareAgent="Adobe Photoshop CC"/>'), {"editor_software"}),
    "XMP source type": (xmp(f'<x DigitalSourceType="{IPTC}trainedAlgorithmicMedia"/>'), {"declared_generated"}),
    "XMP screen": (xmp(f"<DigitalSourceType>{IPTC}screenCapture<"), {"declared_screen_capture"}),
    "PNG software": (png(Software="gnome-screenshot"), {"capture_software"}),
    "WebP": (file("WEBP", exif={0x0131: "Midjourney"}), {"generator_software"}),
    "XMP of a WebP": (file("WEBP", xmp=b'<x CreatorTool="ComfyUI"/>'), {"generator_software"}),
    "XMP of a PNG": (png(**{"XML:com.adobe.xmp": 'CreatorTool="Stable Diffusion XL"'}), {"generator_software"}),
    "a sampler": (png(parameters="portrait, Steps: 20, Sampler: Euler a"), {"generator_settings"}),
    "a node graph, packed": (png(prompt='{"3": {"class_type": "KSampler"}}'), {"generator_settings"}),
    "a job": (png(Description="a face --v 6 Job ID: 0f8fad5b-d9cb-469f-a165-70867728950e"), {"generator_settings"}),
    "a sampler in EXIF": (
        file(exif={"optical": {0x9286: b"UNICODE\x00" + "a face\nSteps: 30, Sampler: DPM".encode("utf-16-be")}}),
        {"generator_settings"},
    ),
    "a manifest": (
        manifest(b"c2pa.actions c2pa.created digitalSourceTypex\x18" + IPTC.encode() + b"trainedAlgorithmicMedia"),
        {"declared_generated"},
    ),
    "a manifest in two packets": (
        manifest(b"c2pa " + IPTC.encode() + b"trainedAlgo", b"rithmicMedia"),
        {"declared_generated"},
    ),
    "a manifest behind a thumbnail": (
        with_chunk(
            png_chunk(b"caBX", bytes(3_000_000) + b"c2pa " + IPTC.encode() + b"compositeWithTrainedAlgorithmicMedia")
        ),
        {"declared_generated"},
    ),
    "an edit": (manifest(b"c2pa.actions c2pa.created c2pa.edited"), {"declared_edited"}),
    "an edit of metadata": (manifest(b"c2pa.actions c2pa.created c2pa.edited.metadata"), set()),
    "a claim's program": (manifest(b"c2pa.claim claim_generatorx\x24Adobe_Photoshop/25.0"), {"editor_software"}),
    "a social network": (segment(0xED, b"Photoshop 3.0\x008BIM FBMD0100"), {"social_network_copy"}),
    "a comment": (segment(0xFE, b"Created with DeepFaceLab"), {"face_swap_software"}),
    "an edited photograph": (file(exif={**CAMERA, 0x0131: "Snapseed 2.0"}), {"editor_beside_camera"}),
    "another size": (file(exif={**CAMERA, "optical": {0xA002: 4032, 0xA003: 3024}}), {"exif_size_differs"}),
    "a screen": (file("PNG", (1170, 2532)), {"screen_size"}),
    "a square": (file("JPEG", (1024, 1024)), {"generator_size"}),
}


@pytest.mark.parametrize("name", FILES)
def test_indications(name):
    image, wanted = FILES[name]
    assert codes(image) - BASELINE == wanted


CLEAN = {
    "a phone": file(exif={**CAMERA, 0x0131: "17.5.1"}),
    "a phone that names its program": file(exif={**CAMERA, 0x0131: "HDR+ 1.0.647"}),
    "turned": file(exif={**CAMERA, 0x0112: 6, "optical": {0xA002: 160, 0xA003: 120}}),
    "a camera's manifest": manifest(b"c2pa.actions c2pa.created " + IPTC.encode() + b"computationalCapture"),
    "stripped": file(),
    "a stripped PNG": file("PNG"),
    "people's words": segment(0xFE, b"obs: canva, photo of Roop at the screen by J. Gimp"),
    "words in a text": png(Title="My screenshot of Midjourney", Author="Roop Camo"),
    "ordinary words": file(exif={0x0131: "Interface Preface Canvas Jobs"}),
    "a web page's capture": file("PNG", (1920, 1080)),
    "a screen-sized photograph": file("JPEG", (1080, 2400)),
}


@pytest.mark.parametrize("name", CLEAN)
def test_clean_files(name):
    assert codes(CLEAN[name]) <= BASELINE


def test_every_name_is_found_and_nothing_of_the_file_is_quoted():
    for code, names in SOFTWARE.items():
        for name in names:
            image = file(exif={0x0131: f"{name} Zebra-Secret"})
            found = checks.indications_of(image, inspect(image, ImageLimits()))
            assert code in {each.code for each in found}, name
            assert not any("Zebra" in each.detail for each in found)


def test_a_broken_check_is_told(monkeypatch):
    monkeypatch.setattr(checks, "CHECKS", (lambda embedded: [embedded.nothing],))
    assert codes(file()) == {UNCHECKED}


def test_unknown_codes_are_refused():
    with pytest.raises(UnknownIndication):
        Indication(code="unheard_of", detail="")
    assert all(spec.label for spec in INDICATIONS.values())


def _broken_xmp() -> bytes:
    packed = zlib.compress(b" " * 200_000)[:-4] + bytes(4)
    return png_chunk(b"iTXt", b"XML:com.adobe.xmp\x00\x01\x00\x00\x00" + packed)


HOSTILE = {
    "XMP that inflates and breaks": lambda: with_chunk(15_000 * _broken_xmp()),
    "names without end": lambda: xmp("CreatorTool=" * 5_000),
    "source types": lambda: xmp("digitalsourcetype/" * 3_000),
    "manifest": lambda: with_chunk(png_chunk(b"caBX", b"digitalsourcetype= " * 500_000)),
    "segments": lambda: file()[:20] + b"\xff\xed\x00\x02" * 4_000 + file()[20:],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_metadata_cost_little(name):
    image = HOSTILE[name]()
    header = inspect(image, ImageLimits())
    started = time.process_time()
    checks.indications_of(image, header)
    assert time.process_time() - started < 1.0  # 0.01 to 0.2 s on a slow machine


RECEIVED_MS = 1_700_000_000_000  # 2023-11-14
TIMES = [
    ("2023:11:14 09:00:00", None, set()),
    ("2023:11:15 12:00:00", None, set()),  # a zone ahead
    ("2023:11:18 09:00:00", None, {"taken_in_future"}),
    ("2019:01:01 00:00:00", None, set()),  # without a claim, an old picture is only old
    ("2019:01:01 00:00:00", "2023-11-14T20:00:00Z", {"taken_at_other_time"}),
    ("2023:11:14 09:00:00", "2023-11-14T09:00:00+02:00", set()),
    ("0000:00:00 00:00:00", "2023-11-14T20:00:00", set()),
    ("yesterday", None, set()),
]


@pytest.mark.parametrize(("exif_time", "captured_at", "wanted"), TIMES)
def test_capture_times(exif_time, captured_at, wanted):
    found = capture_times(taken_at(exif_time), received_ms=RECEIVED_MS, captured_at=captured_at)
    assert {each.code for each in found} == wanted


def test_an_analysis_tells_what_its_file_tells(analyser, selfie):
    block = Image.Exif()
    block[0x0131] = "OBS Studio"
    block.get_ifd(0x8769)[0x9003] = "2023:11:14 09:00:00"
    edited = io.BytesIO()
    Image.open(io.BytesIO(selfie)).save(edited, "JPEG", exif=block)
    analysis = analyser.analyse(edited.getvalue())
    assert {each.code for each in analysis.indications} == {"capture_software", *BASELINE}
    assert analysis.taken_at == "2023-11-14T09:00:00"
