import numpy as np

from nets.torch_names import translate


def test_kernels_are_transposed_and_batch_norm_renamed():
    kernel = np.arange(2 * 3 * 5 * 7).reshape(2, 3, 5, 7)  # OIHW
    arrays = {
        "module.a.conv.weight": kernel,
        "module.a.bn.weight": np.array([1.0, 2.0]),
        "module.a.bn.bias": np.array([3.0, 4.0]),
        "module.a.bn.running_mean": np.array([5.0, 6.0]),
        "module.a.bn.running_var": np.array([7.0, 8.0]),
        "module.a.bn.num_batches_tracked": np.array(9),
        "module.fc.weight": np.array([[1.0, 2.0, 3.0]]),
        "module.fc.bias": np.array([4.0]),
    }
    result = translate(arrays, lambda module: module.replace(".", "_"))
    assert result["a_conv/kernel"].shape == (5, 7, 3, 2)
    assert result["a_conv/kernel"][4, 6, 1, 0] == kernel[0, 1, 4, 6]
    assert result["fc/kernel"].tolist() == [[1.0], [2.0], [3.0]]
    assert {name: array.tolist() for name, array in result.items() if "bn" in name} == {
        "a_bn/gamma": [1.0, 2.0],
        "a_bn/beta": [3.0, 4.0],
        "a_bn/moving_mean": [5.0, 6.0],
        "a_bn/moving_variance": [7.0, 8.0],
    }
    assert result["fc/bias"].tolist() == [4.0]
    assert len(result) == 7


def test_arrays_of_other_origin_stay():
    arrays = {"conv1/kernel": np.zeros((3, 3, 1, 2))}
    assert translate(arrays, str.upper) == arrays
