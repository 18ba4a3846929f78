"""Decoding: in order over any number of threads, and no more than is asked for."""

import sys

import numpy as np
import pytest
import torch

from thresher.core.errors import DataError, MissingExtraError
from thresher.data.content import Content
from thresher.data.jpeg import decode_jpegs


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("number", [1, 3])
def test_every_image_comes_at_its_place(jpeg_bytes, threads, number):
    threads(number)
    greys = np.arange(1201) % 256
    encoded = [jpeg_bytes(np.full((2, 3), grey, np.uint8)) for grey in range(256)]
    images = decode_jpegs([Content(f"{k}", encoded[grey]) for k, grey in enumerate(greys)], 2, 3)
    assert (images.dtype, images.shape) == (np.uint8, (1201, 3, 2, 3))
    np.testing.assert_array_equal(images, np.broadcast_to(greys[:, None, None, None], images.shape))


def test_no_images_are_an_empty_array():
    assert decode_jpegs([], 2, 3).shape == (0, 3, 2, 3)


def test_rows_are_rows_and_planes_are_red_green_blue(jpeg_bytes):
    picture = np.zeros((8, 16, 3), np.uint8)
    picture[:, :8] = (250, 10, 60)
    image = decode_jpegs([Content("a", jpeg_bytes(picture))], 8, 16)[0]
    left, right = image[:, :, :8], image[:, :, 8:]
    np.testing.assert_allclose(left.mean((1, 2)), [250, 10, 60], atol=2)
    np.testing.assert_allclose(right, 0, atol=2)


@pytest.mark.parametrize("number", [1, 4])
def test_the_first_file_at_fault_is_named(jpeg_bytes, threads, number):
    threads(number)
    whole = Content("whole", jpeg_bytes(np.zeros((2, 3), np.uint8)))
    contents = [whole] * 3000
    for place in (2999, 1501, 1600):
        contents[place] = Content(f"image {place}", b"")
    with pytest.raises(DataError, match="image 1501 is not a JPEG image"):
        decode_jpegs(contents, 2, 3)


def test_another_format_is_not_tried(jpeg_bytes):
    gif = b"GIF89a\x03\0\x02\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\x03\0\x02\0\0\x02\x03\x84\x8fY\0;"
    with pytest.raises(DataError, match="a is not a JPEG image"):
        decode_jpegs([Content("a", gif)], 2, 3)


def test_no_memory_is_taken_for_what_a_header_claims(jpeg_bytes):
    data = bytearray(jpeg_bytes(np.zeros((2, 3), np.uint8)))
    frame = data.index(b"\xff\xc0")  # then a length, the bits, the height and the width
    data[frame + 5 : frame + 9] = (9000).to_bytes(2, "big") * 2
    with pytest.raises(DataError, match="a has 9000×9000 pixels; expected 3×2"):
        decode_jpegs([Content("a", bytes(data))], 2, 3)


def test_a_damaged_image_is_a_data_error_or_readable(jpeg_bytes):
    data = jpeg_bytes(np.arange(384, dtype=np.uint8).reshape(8, 16, 3))
    outcomes = []
    for at in range(len(data)):
        for byte in (0, 0x55, 0xFF):
            broken = Content("a", data[:at] + bytes([byte]) + data[at + 1 :])
            try:
                outcomes.append(decode_jpegs([broken], 8, 16).shape)
            except DataError as error:
                outcomes.append(str(error)[:2])
    assert set(outcomes) == {(1, 3, 8, 16), "a "}


def test_without_pillow_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(MissingExtraError, match=r"decoding JPEG images needs the 'images' extra"):
        decode_jpegs([], 2, 3)
