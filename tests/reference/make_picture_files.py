"""Writes tests/data/pictures/: small pictures of every kind that Cambium reads, and what Pillow makes of them.

Usage: python make_picture_files.py OUT_FOLDER     (needs Pillow, torchvision, numpy; versions go into expected.txt)

expected.txt, one line per picture and way of reading it; values are bytes in expected.bin, in the order of the lines:
    file NAME MODE WIDTH HEIGHT CHANNELS TOLERANCE
        MODE: as-it-is, or what `convert` makes of it: rgb or grey, transparent pixels laid on (30, 60, 90)
    resize FILTER WIDTH HEIGHT CHANNELS TO_WIDTH TO_HEIGHT
    fit RULE FILTER WIDTH HEIGHT CHANNELS TO_WIDTH TO_HEIGHT CROP_FRACTION
        of the picture that `noise` below makes; padding is (30, 60, 90), in grey its luma
"""
import io
import os
import struct
import sys
import zlib

import numpy as np
import PIL
from PIL import Image, ImageOps
import torchvision
from torchvision import transforms

BACKGROUND = (30, 60, 90)
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC,
           "nearest": Image.Resampling.NEAREST}
TORCH_FILTERS = {"bilinear": transforms.InterpolationMode.BILINEAR, "bicubic": transforms.InterpolationMode.BICUBIC}


def noise(width, height, channels):
    """The same bytes as the test's own: a linear congruential generator's upper byte, mixed with a slow ramp."""
    state, out = (width * 65536 + height * 16 + channels) & 0xffffffff, np.empty(width * height * channels, np.uint8)
    for i in range(out.size):
        state = (state * 1664525 + 1013904223) & 0xffffffff
        pixel = i // channels
        ramp = (pixel % width * 5 + pixel // width * 3 + i % channels * 40) % 256
        out[i] = (state >> 24) if (state >> 16) % 3 == 0 else ramp
    return out.reshape(height, width, channels)


def smooth(width, height, channels):
    y, x = np.mgrid[0:height, 0:width]
    planes = [np.sin(x / 3.0 + c) * 60 + np.cos(y / 4.0 - c) * 60 + 128 for c in range(channels)]
    return np.stack(planes, -1).astype(np.uint8)


def image_of(array):
    return Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def pack_row(row, depth):
    if depth == 8:
        return row.astype(np.uint8).tobytes()
    if depth == 16:
        return b"".join(struct.pack(">H", v) for v in row)
    bits = "".join(format(v, "0%db" % depth) for v in row)
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[i:i + 8], 2) for i in range(0, len(bits), 8))


def png(samples, colour_type, depth, extra=(), interlaced=False):
    """A PNG by hand: samples [H, W, values a pixel] as integers, extra chunks before the data."""
    height, width, _ = samples.shape
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    raw = b""
    for x0, y0, dx, dy in passes if interlaced else [(0, 0, 1, 1)]:
        part = samples[y0::dy, x0::dx]
        if part.size:
            raw += b"".join(b"\0" + pack_row(row.reshape(-1), depth) for row in part)
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, int(interlaced))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunk(k, d) for k, d in extra) +
            chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b""))


def exif(orientation, big_endian=False):
    order = ">" if big_endian else "<"
    return (b"Exif\0\0" + (b"MM\0*" if big_endian else b"II*\0") +
            struct.pack(order + "IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0))


def saved(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def files():
    rng = np.random.default_rng(7)
    w, h = 21, 13
    rgb, grey = smooth(w, h, 3), smooth(w, h, 1)
    out = {}
    out["grey.jpg"] = (saved(image_of(grey), "JPEG", quality=90), 1)
    out["rgb.jpg"] = (saved(image_of(rgb), "JPEG", quality=90), 1)
    out["rgb444.jpg"] = (saved(image_of(rgb), "JPEG", quality=95, subsampling=0), 1)
    out["progressive.jpg"] = (saved(image_of(rgb), "JPEG", quality=85, progressive=True), 1)
    out["cmyk.jpg"] = (saved(image_of(rgb).convert("CMYK"), "JPEG", quality=92), 1)
    out["restart.jpg"] = (saved(image_of(rgb), "JPEG", quality=80, restart_marker_blocks=1), 1)
    out["odd.jpg"] = (saved(image_of(smooth(1, 9, 3)), "JPEG", quality=90), 1)
    for orientation in range(1, 9):
        data = saved(image_of(rgb), "JPEG", quality=80, exif=exif(orientation, orientation % 2 == 0))
        out["turned%d.jpg" % orientation] = (data, 1)
    # A directory entry that says LONG, as some software writes it, and one that makes no sense.
    odd = exif(6)
    out["turned_long.jpg"] = (saved(image_of(rgb), "JPEG", quality=80, exif=odd.replace(
        struct.pack("<HHI", 0x0112, 3, 1), struct.pack("<HHI", 0x0112, 4, 1))), 1)
    out["turned_absurd.jpg"] = (saved(image_of(rgb), "JPEG", quality=80, exif=odd.replace(
        struct.pack("<H", 6) + b"\0\0", struct.pack("<H", 99) + b"\0\0")), 1)

    def values(top, count, width=w, height=h):
        return rng.integers(0, top + 1, (height, width, count))

    for depth in (1, 2, 4, 8, 16):
        out["grey%d.png" % depth] = (png(values(2 ** depth - 1, 1), 0, depth), 0)
    for depth in (8, 16):
        out["grey_alpha%d.png" % depth] = (png(values(2 ** depth - 1, 2), 4, depth), 0)
        out["rgb%d.png" % depth] = (png(values(2 ** depth - 1, 3), 2, depth), 0)
        out["rgba%d.png" % depth] = (png(values(2 ** depth - 1, 4), 6, depth), 0)
    for depth in (1, 2, 4, 8):
        count = 2 ** depth if depth < 8 else 40
        palette = [(b"PLTE", rng.integers(0, 256, count * 3).astype(np.uint8).tobytes())]
        out["palette%d.png" % depth] = (png(values(count - 1, 1), 3, depth, palette), 0)
        palette.append((b"tRNS", bytes([0, 128, 255, 30][:min(count, 4)])))
        out["palette_alpha%d.png" % depth] = (png(values(count - 1, 1), 3, depth, palette), 0)
    key = values(7, 1)
    out["grey_key.png"] = (png(key, 0, 8, [(b"tRNS", struct.pack(">H", 3))]), 0)
    rgb_key = values(1, 3) * 255
    out["rgb_key.png"] = (png(rgb_key, 2, 8, [(b"tRNS", struct.pack(">HHH", 255, 0, 255))]), 0)
    out["interlaced_rgb.png"] = (png(values(255, 3), 2, 8, interlaced=True), 0)
    out["interlaced_rgba.png"] = (png(values(255, 4), 6, 8, interlaced=True), 0)
    out["interlaced_grey1.png"] = (png(values(1, 1), 0, 1, interlaced=True), 0)
    out["interlaced_small.png"] = (png(values(255, 3, 3, 2), 2, 8, interlaced=True), 0)
    out["one.png"] = (png(values(255, 3, 1, 1), 2, 8), 0)
    out["turned6.png"] = (png(values(255, 3), 2, 8, [(b"eXIf", exif(6)[6:])]), 0)
    rgba = np.concatenate([rgb, rng.integers(0, 256, (h, w, 1)).astype(np.uint8)], -1)
    out["lossy.webp"] = (saved(image_of(rgb), "WEBP", quality=80), 1)
    out["lossless.webp"] = (saved(image_of(rgb), "WEBP", lossless=True), 0)
    out["lossy_alpha.webp"] = (saved(image_of(rgba), "WEBP", quality=80), 1)
    out["lossless_alpha.webp"] = (saved(image_of(rgba), "WEBP", lossless=True, exact=True), 0)
    out["turned8.webp"] = (saved(image_of(rgb), "WEBP", lossless=True, exif=exif(8)), 0)
    try:
        import pillow_heif
        pillow_heif.register_heif_opener()
        out["picture.heic"] = (saved(image_of(smooth(32, 24, 3)), "HEIF", quality=90), 2)
    except ImportError:
        pass
    return out


def decode(data):
    """As it is: L, RGB or RGBA, upright; 16-bit grey by its upper byte."""
    image = Image.open(io.BytesIO(data))
    image.load()
    if image.mode in ("I", "I;16", "I;16B"):
        image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).astype(np.uint8))
    elif image.mode == "1":
        image = image.convert("L")
    elif image.mode in ("P", "LA", "L", "RGB") and (image.mode == "LA" or "transparency" in image.info):
        image = image.convert("RGBA")
    elif image.mode in ("P", "CMYK"):
        image = image.convert("RGB")
    turned = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
              5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
              8: Image.Transpose.ROTATE_90}.get(Image.open(io.BytesIO(data)).getexif().get(0x0112, 1))
    return image if turned is None else image.transpose(turned)


def on_background(image, mode):
    if image.mode == "RGBA":
        ground = Image.new("RGBA", image.size, BACKGROUND + (255,))
        ground.alpha_composite(image)
        image = ground.convert("RGB")
    return image.convert({"rgb": "RGB", "grey": "L"}[mode])


def main(folder):
    os.makedirs(folder, exist_ok=True)
    lines = ["# Pillow %s, torchvision %s; see tests/reference/make_picture_files.py" %
             (PIL.__version__, torchvision.__version__)]
    values = []

    def expect(line, image):
        lines.append(line)
        values.append(np.asarray(image, np.uint8).tobytes())

    for name, (data, tolerance) in files().items():
        with open(os.path.join(folder, name), "wb") as file:
            file.write(data)
        image = decode(data)
        channels = len(image.getbands())
        expect("file %s as-it-is %d %d %d %d" % (name, *image.size, channels, tolerance), image)
        for mode in ("rgb", "grey"):
            expect("file %s %s %d %d %d %d" % (name, mode, *image.size, 3 if mode == "rgb" else 1, tolerance),
                   on_background(image, mode))

    sizes = [(17, 11, 1, 5, 4), (17, 11, 3, 5, 4), (17, 11, 4, 34, 29), (64, 64, 3, 7, 7), (5, 3, 3, 31, 17),
             (40, 30, 1, 40, 13), (40, 30, 3, 13, 30), (200, 3, 1, 9, 9), (3, 200, 1, 9, 9), (1, 1, 3, 6, 5),
             (50, 40, 3, 49, 39), (7, 120, 3, 40, 11), (120, 7, 3, 11, 40), (33, 33, 1, 33, 33)]
    for name, kind in FILTERS.items():
        for w, h, c, to_w, to_h in sizes:
            image = image_of(noise(w, h, c))
            # Pillow premultiplies RGBA; here all channels are alike: merged from planes.
            planes = [plane.resize((to_w, to_h), kind) for plane in image.split()]
            expect("resize %s %d %d %d %d %d" % (name, w, h, c, to_w, to_h), Image.merge(image.mode, planes))
    fits = [(40, 30, 3, 16, 16), (30, 41, 1, 16, 16), (9, 9, 3, 16, 16), (50, 7, 3, 15, 15), (7, 50, 1, 15, 15),
            (120, 7, 3, 12, 12), (31, 20, 3, 14, 10)]
    for filter_name in ("bilinear", "bicubic"):
        for w, h, c, to_w, to_h in fits:
            image, kind = image_of(noise(w, h, c)), FILTERS[filter_name]
            ground = BACKGROUND if c == 3 else Image.new("RGB", (1, 1), BACKGROUND).convert("L").getpixel((0, 0))
            tail = "%s %d %d %d %d %d" % (filter_name, w, h, c, to_w, to_h)
            expect("fit pad %s 1" % tail, ImageOps.pad(image, (to_w, to_h), kind, ground))
            expect("fit squash %s 1" % tail, image.resize((to_w, to_h), kind))
            if to_w == to_h and max(w, h) < 20 * min(w, h):
                for fraction in (0.875, 1):
                    crop = transforms.Compose([
                        transforms.Resize(int(to_w / fraction), TORCH_FILTERS[filter_name], antialias=True),
                        transforms.CenterCrop(to_w)])
                    expect("fit crop %s %g" % (tail, fraction), crop(image))

    with open(os.path.join(folder, "expected.txt"), "w") as file:
        file.write("\n".join(lines) + "\n")
    with open(os.path.join(folder, "expected.bin"), "wb") as file:
        file.write(b"".join(values))


if __name__ == "__main__":
    main(sys.argv[1])
