"""Sizes of images by their first bytes, against what Pillow wrote."""

import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from datasets.user_data.image_header import check_image, image_size
from utils.errors import InputError


def written(kind, width, height, **options):
    stream = io.BytesIO()
    image = Image.fromarray(np.zeros((height, width, 3), np.uint8))
    image.save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "bmp"])
@pytest.mark.parametrize("size", [(1, 1), (7, 300), (640, 5)])
def test_size(kind, size):
    assert image_size(io.BytesIO(written(kind, *size))) == size


def test_jpeg_with_much_before_its_size():
    data = written("jpeg", 12, 9, exif=b"Exif\x00\x00" + b"x" * 60_000, progressive=True)
    assert image_size(io.BytesIO(data)) == (12, 9)


@given(st.binary(max_size=64))
def test_any_bytes_give_a_size_or_a_value_error(data):
    for head in (b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"BM", b"GIF89a"):
        try:
            width, height = image_size(io.BytesIO(head + data))
        except ValueError:
            continue
        assert width > 0
        assert height > 0


def test_a_jpeg_cut_at_any_place_is_refused():
    data = written("jpeg", 12, 9)
    end = data.index(b"\xff\xc0") + 9
    for length in range(end):
        with pytest.raises(ValueError, match=r"truncated|empty|PNG, JPEG"):
            image_size(io.BytesIO(data[:length]))


def test_a_claim_of_many_pixels_is_refused_by_name(tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII5B", 13, b"IHDR", 1 << 20, 200, 8, 0, 0, 0, 0)
    )
    with pytest.raises(InputError, match=r"bomb.png: 1048576 x 200 pixels"):
        check_image(path)
