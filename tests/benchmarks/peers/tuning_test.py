"""The peer's training: its batches, its loss, its rate."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from benchmarks.peers.images import MEAN, STD, Images  # noqa: E402
from benchmarks.peers.plan import PeerRow  # noqa: E402
from benchmarks.peers.tuning import Data, fine_tune, loss_of  # noqa: E402


def some_data(number=40):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (number, 32, 32, 3), dtype=np.uint8)
    labels = rng.integers(0, 10, number)
    return Images(images, labels, images, labels), Data(
        Images(images, labels, images, labels), torch.device("cpu")
    )


def test_an_epoch_is_every_image_but_the_last_few():
    images, data = some_data()
    batches = list(data.epoch(12, seed=0, epoch=0))
    assert [len(labels) for _, labels in batches] == [12, 12, 12]
    again = torch.cat([x for x, _ in data.epoch(9, seed=0, epoch=0)])
    torch.testing.assert_close(again, torch.cat([x for x, _ in batches]))  # whatever the batch


def test_plain_images_are_normalized_as_ours():
    images, data = some_data()
    found, labels = next(iter(data.plain(40, 1, seed=0)))
    order = np.random.default_rng(0).permutation(40)
    wanted = (images.train[order] / 255.0 - MEAN) / STD
    np.testing.assert_allclose(found.permute(0, 2, 3, 1), wanted, atol=1e-5)
    np.testing.assert_array_equal(labels, images.train_labels[order])


def test_loss_is_the_closed_form():
    torch.manual_seed(0)
    student, teacher = torch.nn.Linear(6, 10), torch.nn.Linear(6, 10)
    x, labels = torch.randn(7, 6), torch.arange(7)
    logits, wanted = (net(x).detach().double().numpy() for net in (student, teacher))

    def softmax(z):
        return np.exp(z) / np.exp(z).sum(1, keepdims=True)

    plain = -np.log(softmax(logits)[np.arange(7), np.arange(7)]).mean()
    p, q = softmax(wanted / 4), softmax(logits / 4)
    divergence = (p * np.log(p / q)).sum(1).mean()
    assert loss_of(student, x, labels, None).item() == pytest.approx(plain, rel=1e-5)
    both = loss_of(student, x, labels, teacher).item()
    assert both == pytest.approx(plain + 4 * divergence, rel=1e-5)


def test_the_rate_falls_along_half_a_cosine(monkeypatch):
    _, data = some_data()
    rates = []
    step = torch.optim.SGD.step

    def noted(self, *args, **kwargs):
        rates.append([group["lr"] for group in self.param_groups])
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.SGD, "step", noted)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3072, 10))
    row = PeerRow(network="resnet20", budget="0.5", importance="l2", epochs=2, rate=0.001)
    row = type(row)(**{**vars(row), "batch_size": 10})
    accuracies = list(fine_tune(network, data, row, None))
    assert len(accuracies) == 2 and all(0 <= value <= 1 for value in accuracies)
    wanted = [0.0005 * (1 + math.cos(math.pi * done / 8)) for done in range(8)]
    np.testing.assert_allclose([first for first, _ in rates], wanted)
