"""Conversion of uploaded pictures: formats, orientation, metadata, and files that are refused. Without a database."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import pytest
from PIL import Image, ImageCms

from shop.core.errors import BadInput
from shop.media import containers, files


def picture(kind: str = "PNG", size: tuple[int, int] = (900, 600), mode: str = "RGB", **options: object) -> bytes:
    """A picture whose left upper corner is red, the rest grey."""
    image = Image.new("RGB" if mode != "I;16" else mode, size, "grey" if mode != "I;16" else 30000)
    if mode != "I;16":
        image.paste("red", (0, 0, size[0] // 2, size[1] // 2))
        image = image.convert(mode)
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def largest(content: bytes) -> Image.Image:
    return Image.open(BytesIO(files.converted(content).files[640]))


def with_chunk(png: bytes, name: bytes, data: bytes) -> bytes:
    """A PNG with a further chunk behind its header."""
    chunk = struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    return png[:33] + chunk + png[33:]


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("PNG", "RGBA"),
        ("JPEG", "RGB"),
        ("WEBP", "RGB"),
        ("AVIF", "RGB"),
        ("JPEG", "CMYK"),
        ("PNG", "P"),
        ("PNG", "I;16"),
    ],
)
def test_a_picture_of_each_format_becomes_webp_in_its_widths(kind: str, mode: str) -> None:
    found = files.converted(picture(kind, mode=mode))
    assert (found.width, found.height) == (900, 600)
    sizes = {name: Image.open(BytesIO(content)) for name, content in found.files.items()}
    assert {name: (one.format, one.size) for name, one in sizes.items()} == {
        320: ("WEBP", (320, 213)),
        640: ("WEBP", (640, 427)),
        1280: ("WEBP", (900, 600)),
    }
    assert files.widths(900) == {320: 320, 640: 640, 1280: 900}


def test_a_small_picture_is_not_enlarged_and_the_same_picture_has_the_same_name() -> None:
    first, second = files.converted(picture(size=(200, 100))), files.converted(picture(size=(200, 100)))
    assert (first.width, list(first.files)) == (200, [320])
    assert first.digest == second.digest and files.widths(200) == {320: 200}
    assert files.widths(320) == {320: 320} and files.widths(641) == {320: 320, 640: 640, 1280: 641}


def test_a_turned_picture_is_upright_and_has_no_metadata() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter, clockwise
    exif[0x010E] = "taken at home"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    content = picture("JPEG", (900, 600), exif=exif, icc_profile=profile, comment=b"secret")
    assert b"secret" in content
    shown = largest(content)
    assert shown.size == (600, 900)
    red, _, blue = shown.getpixel((450, 100))[:3]  # the left upper corner is on the right now
    assert red > 200 and blue < 80
    assert not {"exif", "icc_profile", "xmp", "comment"} & set(shown.info)


def test_of_an_animation_the_first_frame_is_taken() -> None:
    frames = [Image.new("RGB", (400, 400), colour) for colour in ("red", "blue")]
    for kind in ("WEBP", "PNG", "AVIF"):
        file = BytesIO()
        frames[0].save(file, kind, save_all=True, append_images=frames[1:], duration=100)
        shown = largest(file.getvalue())
        red, _, blue = shown.convert("RGB").getpixel((100, 100))
        assert red > 200 and blue < 60 and getattr(shown, "n_frames", 1) == 1, kind


def header(width: int, height: int) -> bytes:
    """A PNG of a few bytes that states a size."""
    ihdr = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", ihdr), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + body


GIF = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)
NO_FORMAT, NOT_ALONE = "no picture in one of the formats", "cut off, or has other data after the picture"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", NO_FORMAT),
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", NO_FORMAT),
        (b"%PDF-1.7", NO_FORMAT),
        (GIF, NO_FORMAT),
        (b"<html>" + picture(), NO_FORMAT),
        (picture() + b"PK\x03\x04archive", NOT_ALONE),
        (picture("JPEG") + b"<?php system($_GET['c']);", NOT_ALONE),
        (picture("WEBP") + b"<script>alert(1)</script>", NOT_ALONE),
        (picture("AVIF") + b"<script>alert(1)</script>", NOT_ALONE),
        (picture("JPEG")[:-2000], NOT_ALONE),
        (picture()[:-20], NOT_ALONE),
        (header(20_000, 20_000), "more than 40 million pixels"),
        (header(8_000, 8_000), "more than 40 million pixels"),
        (header(2**31 - 1, 2**31 - 1), "more than 40 million pixels"),
        (header(600, 600), "damaged"),
        (with_chunk(picture(), b"zTXt", b"k\0\0" + zlib.compress(b"0" * 100_000_000)), "damaged"),
        (picture(size=(15, 15)), "at least 16 pixels"),
        (picture(size=(1000, 100)), "at most 5 times as long"),
        (b"\x89PNG\r\n\x1a\n" + b"\0\0\0\0IEND\xaeB`\x82", "damaged"),
        (b"RIFF\x04\0\0\0WEBP", "damaged"),
        (b"\0\0\0\x18ftypavif\0\0\0\0avifmif1", "damaged"),
    ],
    ids=lambda value: value[:12].hex() if isinstance(value, bytes) else "",
)
def test_a_file_that_is_no_picture_alone_is_refused_with_the_reason(content: bytes, why: str) -> None:
    with pytest.raises(BadInput) as refusal:
        files.converted(content)
    assert why in refusal.value.message


def test_pictures_that_a_camera_appends_are_no_reason_to_refuse() -> None:
    assert not containers.has_more(picture("JPEG") + picture("JPEG"), "JPEG")
    assert not containers.has_more(picture("JPEG", progressive=True) + b"\0\0", "JPEG")
    assert files.converted(picture("JPEG", progressive=True)).width == 900


@pytest.mark.full
def test_the_largest_allowed_picture_is_converted_within_the_limits_of_its_process() -> None:
    for kind in ("JPEG", "PNG"):
        found = files.converted(picture(kind, (8000, 5000)))
        assert (found.width, found.height) == (1280, 800)
