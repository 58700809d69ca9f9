"""Draw letters with many fonts, and describe the pictures in four ways.

    python make_glyphs.py                  # fonts of Debian, see FONTS
    python make_glyphs.py --fonts FOLDER   # any TrueType and OpenType files

Views: EfficientNet-Lite 0 (1280), histograms of gradients (128), random convolutions (160), and
the lowest frequencies of the cosine transform (20). A class is a letter, in both cases.
"""

import argparse
import string
import time
from pathlib import Path

import numpy as np
from ensembles import frequencies, gradient_histograms, random_convolutions, save_features
from make_efficientnet import encode, load_network
from PIL import Image, ImageDraw, ImageFont

FONTS = (
    "fonts-adf-accanthis fonts-adf-baskervald fonts-adf-gillius fonts-adf-mekanus fonts-aenigma "
    "fonts-averia-sans-gwf fonts-averia-serif-gwf fonts-cantarell fonts-comfortaa fonts-dejavu "
    "fonts-dancingscript fonts-dustin fonts-ebgaramond fonts-freefont-ttf fonts-georgewilliams "
    "fonts-junicode fonts-lato fonts-liberation fonts-linuxlibertine fonts-lobstertwo "
    "fonts-oldstandard fonts-open-sans fonts-quattrocento fonts-roboto-unhinted fonts-sil-andika"
)
PER_LETTER = 200
SIZE = 32


def draw(letter, font):
    """The letter, white on black, centered in a square; None if the font lacks it."""
    left, top, right, bottom = font.getbbox(letter)
    side = max(right - left, bottom - top)
    if side == 0:
        return None
    image = Image.new("L", (side + 8, side + 8))
    place = ((side + 8 - left - right) / 2, (side + 8 - top - bottom) / 2)
    ImageDraw.Draw(image).text(place, letter, 255, font=font)
    return np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BILINEAR), np.float32)


def draw_all(paths):
    """Pictures that differ from each other, with their classes."""
    pictures, y, seen = [], [], set()
    for path in paths:
        try:
            font = ImageFont.truetype(str(path), 48)
            drawn = [draw(letter, font) for letter in string.ascii_letters]
        except (OSError, ValueError):
            continue
        for number, picture in enumerate(drawn):
            if picture is None or picture.tobytes() in seen:
                continue
            seen.add(picture.tobytes())
            pictures.append(picture)
            y.append(number % 26)
    return np.stack(pictures), np.array(y)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fonts", type=Path, default=Path("/usr/share/fonts"))
    folder = parser.parse_args().fonts
    paths = sorted(p for kind in ("*.ttf", "*.otf") for p in folder.rglob(kind))
    if not paths:
        raise SystemExit(f"{folder} has no fonts. Debian: apt-get install {FONTS}")
    pictures, y = draw_all(paths)
    rng = np.random.RandomState(0)
    rows = np.sort(
        np.concatenate([rng.permutation(np.flatnonzero(y == c))[:PER_LETTER] for c in range(26)])
    )
    pictures, y = pictures[rows], y[rows]
    print(f"{len(paths)} fonts, {len(y)} pictures")
    small = pictures.reshape(-1, 8, 4, 8, 4).mean((2, 4))
    start = time.perf_counter()
    views = {
        "lite_0": encode(load_network(0), pictures),
        "gradients": gradient_histograms(small),
        "convolutions": random_convolutions(small),
        "frequencies": frequencies(small),
    }
    print(f"{time.perf_counter() - start:.0f} s")
    save_features("glyphs.npz", y=y, y_names=np.array(list(string.ascii_lowercase)), **views)


if __name__ == "__main__":
    main()
