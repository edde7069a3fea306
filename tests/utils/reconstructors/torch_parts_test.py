import numpy as np
import pytest

torch = pytest.importorskip("torch")

from utils.reconstructors import torch_parts  # noqa: E402
from utils.reconstructors.torch_source import PARTS  # noqa: E402


def test_the_list_of_parts_is_whole():
    own = {name for name, each in vars(torch_parts).items()
           if getattr(each, "__module__", "") == torch_parts.__name__}  # fmt: skip
    assert own == {*PARTS}


def test_drop_shares_masks_and_keeps_the_mean():
    torch.manual_seed(0)
    x = torch.ones(200, 8, 3, 3)
    kept = torch_parts.drop(x, 0.25, (2, 3), True)
    assert set(np.unique(kept.numpy()).round(4)) == {0.0, np.float32(1.3333).round(4)}
    assert bool((kept == kept[:, :, :1, :1]).all())
    assert float(kept.mean()) == pytest.approx(1.0, abs=0.05)
    assert torch_parts.drop(x, 0.25, (2, 3), False) is x


def test_gradients_pass_rounding():
    x = torch.tensor([0.3, 1.6], requires_grad=True)
    y = torch_parts.straight_through(x, torch.round(x))
    assert y.tolist() == [0.0, 2.0]
    y.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("make", [torch_parts.GaussianNoise, torch_parts.GaussianDropout])
def test_noise_is_there_in_training_only(make):
    torch.manual_seed(0)
    part, x = make(0.2), torch.ones(20_000)
    assert torch.equal(part.eval()(x), x)
    noisy = part.train()(x)
    assert float(noisy.mean()) == pytest.approx(1.0, abs=0.02)
    assert float(noisy.std()) == pytest.approx(part.stddev, rel=0.05)


def test_same_padding_of_open_sizes():
    x = torch.ones(1, 1, 7, 8)
    assert torch_parts.pad_same(x, (3, 2), (2, 2), (1, 1)).shape == (1, 1, 9, 8)


@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])
def test_the_loop_is_pytorchs_where_both_compute_the_same(kind):
    torch.manual_seed(0)
    own = torch_parts.Recurrent(kind, 4, 3, torch.tanh, torch.sigmoid, True, True)
    for weight in own.parameters():
        torch.nn.init.normal_(weight)
    order = {"rnn": [0], "gru": [1, 0, 2], "lstm": [0, 1, 2, 3]}[kind]
    twin = getattr(torch.nn, kind.upper())(4, 3, batch_first=True)
    move = lambda each: torch.cat([each.split(3, -1)[gate] for gate in order], -1)  # noqa: E731
    with torch.no_grad():
        twin.weight_ih_l0.copy_(move(own.kernel).T)
        twin.weight_hh_l0.copy_(move(own.recurrent).T)
        twin.bias_ih_l0.copy_(move(own.bias[0]))
        twin.bias_hh_l0.copy_(move(own.bias[1]))
        x = torch.randn(2, 5, 4)
        assert torch.allclose(own(x)[0], twin(x)[0], atol=1e-6)
