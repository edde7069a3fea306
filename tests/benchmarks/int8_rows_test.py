import numpy as np
from PIL import Image

from benchmarks import int8_rows


def test_photographs_are_middle_squares_on_the_networks_scale(tmp_path):
    pixels = np.zeros((300, 400, 3), np.uint8)
    pixels[:, 150:250] = 255  # a white band down the middle
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (image,) = int8_rows._photographs(tmp_path, ["a.png"])
    assert image.shape == (1, 224, 224, 3)
    assert image[0, 112, 112, 0] == 1.0
    assert image[0, 112, 2, 0] == -127 / 128


def test_batches_are_of_100_whatever_is_left_over():
    sizes = []

    def run(batch):
        sizes.append(len(batch))
        return np.eye(3)[batch[:, 0].astype(int)]

    images = np.arange(250)[:, None] % 3
    assert int8_rows._share(run, images, images[:, 0]) == 1.0
    assert sizes == [100, 100, 50]


def test_binary_batches_of_cifar(tmp_path):
    row = np.zeros(3073, np.uint8)
    row[0], row[1], row[1 + 1024] = 7, 10, 20  # label, first pixel's red and green
    (tmp_path / "inner").mkdir()
    np.stack([row, row]).tofile(tmp_path / "inner" / "test_batch.bin")
    images, labels = int8_rows._cifar(str(tmp_path), "test_batch.bin")
    assert images.shape == (2, 32, 32, 3)
    np.testing.assert_array_equal(images[0, 0, 0], [10, 20, 0])
    assert labels.tolist() == [7, 7]
