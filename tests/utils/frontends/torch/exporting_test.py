import pytest

from utils.errors import InputError
from utils.frontends.torch import exporting


def test_the_reason_of_a_long_message():
    long = RuntimeError(
        "Failed.\nNo ONNX function found for <OpOverload(op='aten.igamma', overload="
    )
    assert exporting._reason(long) == "it knows no counterpart of aten.igamma"
    assert exporting._reason(ValueError("a short one.")) == "ValueError: a short one"


def test_inputs_are_of_the_numbers_that_a_module_wants():
    torch = pytest.importorskip("torch", reason="needs PyTorch: make test-torch")
    (images,) = exporting.example_inputs(torch.nn.Linear(3, 2), [(4, 3)])
    assert images.shape == (4, 3) and images.is_floating_point()
    (numbers,) = exporting.example_inputs(torch.nn.Embedding(5, 2), [(1, 7)])
    assert numbers.shape == (1, 7) and not numbers.is_floating_point()
    with pytest.raises(InputError, match=r"shapes \(4, 9\).*Check --input_shape"):
        exporting.example_inputs(torch.nn.Linear(3, 2), [(4, 9)])
