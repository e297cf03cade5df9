"""Program that decodes one picture and writes it as WebP in several widths; `shop.media.files` starts it.

A process of its own, so that the memory and the time of decoding are limited and a web process goes on meanwhile. It
imports nothing of the shop, which would take longer than the picture.

Arguments: a folder with the file `picture`, its format, and the widths, the smallest first. Writes `<width>.webp` into
the folder, and on standard output JSON: `width` and `height` of the largest one, or `refused` with the reason.
"""

from __future__ import annotations

import json
import resource
import sys
import warnings
from io import BytesIO
from pathlib import Path

MOST_PIXELS = 40_000_000
MOST_MEMORY = 2**30
"""Bytes of address space: several times what MOST_PIXELS need."""
MOST_SECONDS = 20
"""Of processor time."""
LARGEST_RATIO = 5
"""Longer to shorter side."""
LEAST = 16
"""Pixels of the shorter side."""
_ORIENTATION = 0x0112
_QUALITY = 82


def main(folder: Path, kind: str, widths: list[int]) -> dict[str, object]:
    """Convert the picture; the result is what the program prints."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS, MOST_SECONDS))
    from PIL import AvifImagePlugin, Image, ImageOps

    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    Image.MAX_IMAGE_PIXELS = MOST_PIXELS
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    try:
        with Image.open(folder / "picture", formats=[kind]) as checked:
            checked.verify()
        with Image.open(folder / "picture", formats=[kind]) as image:
            width, height = image.size
            if width * height > MOST_PIXELS:
                return {"refused": "pixels"}
            if min(width, height) < LEAST or max(width, height) > LARGEST_RATIO * min(width, height):
                return {"refused": "shape"}
            if image.getexif().get(_ORIENTATION, 1) >= 5:  # turned by a quarter
                width, height = height, width
            largest = min(width, widths[-1])
            size = (largest, max(1, round(height * largest / width)))
            image.draft("RGB", (2 * size[0], 2 * size[1]))  # JPEG is decoded at a fraction of its size
            upright = ImageOps.exif_transpose(_reduced(image, 2 * max(size)))
            shown = _in_srgb(upright.resize(size, Image.Resampling.LANCZOS), image.info.get("icc_profile"))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return {"refused": "pixels"}
    except MemoryError:
        return {"refused": "memory"}
    except Exception:  # noqa: BLE001 - decoders raise anything on broken files
        return {"refused": "unreadable"}
    for width in widths:
        if width < shown.width or width in (widths[0], next(one for one in widths if one >= shown.width)):
            _write(shown, min(width, shown.width), folder / f"{width}.webp")
    return {"width": shown.width, "height": shown.height}


def _reduced(image, longest: int):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """The picture with at most `longest` pixels on a side, in a mode that can be resized; the first frame."""
    if image.mode.startswith("I"):  # 16 bits of grey
        image = image.convert("I").point(lambda value: value / 256).convert("L")
    elif image.mode not in ("L", "RGB", "RGBA", "CMYK"):
        has_transparency = "transparency" in image.info or image.mode in ("LA", "PA", "La")
        image = image.convert("RGBA" if has_transparency else "RGB")
    if max(image.size) > longest:
        image.thumbnail((longest, longest))
    return image


def _in_srgb(image, profile: bytes | None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """The picture in sRGB, by its colour profile if that can be used."""
    from PIL import ImageCms

    mode = "RGBA" if image.mode == "RGBA" else "RGB"
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode=mode)
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            pass  # a profile of another colour space: without it the colours differ a little
    return image.convert(mode)


def _write(image, width: int, path: Path) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Write the pixels alone: a new image has no metadata of the uploaded one."""
    from PIL import Image

    height = max(1, round(image.height * width / image.width))
    pixels = image if width == image.width else image.resize((width, height), Image.Resampling.LANCZOS)
    clean = Image.new(pixels.mode, pixels.size)
    clean.paste(pixels)
    clean.save(path, "WEBP", quality=_QUALITY, method=4)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]), sys.argv[2], [int(width) for width in sys.argv[3:]])))
