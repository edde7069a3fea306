"""Actor and critic: small layer-normalised networks in NumPy, their gradient written out.

A network is a shape (`Network`) and one flat float32 vector (`Parameters`), so that Adam, the
targets' update, parameter noise and saving are each one vector operation. NumPy because it was
measured faster: at these sizes (two layers of 64, batches of 64) calls cost more than arithmetic,
and a call into a compiled TensorFlow function more than one into NumPy (`make bench TOPIC=agents`).

Each hidden block is dense -> layer normalisation -> ReLU:

    z = x W + b,   h = relu(g * (z - mean(z)) / sqrt(var(z) + eps) + c)

References:
    Lillicrap et al., "Continuous Control with Deep Reinforcement Learning", 2015, arXiv:1509.02971.
    Ba et al., "Layer Normalization", 2016, arXiv:1607.06450.
"""

import dataclasses
import functools
import math
from typing import NamedTuple

import numpy as np

LAYER_NORM_EPSILON = 1e-5
OUTPUT_INIT_LIMIT = 3e-3  # section 7 of Lillicrap et al.: the first outputs lie close to zero


class Block(NamedTuple):
    """Parameters of one hidden block; views into the flat vector."""

    kernel: np.ndarray  # [fan in, width]
    bias: np.ndarray  # [width]
    gain: np.ndarray  # [width], of the layer normalisation
    offset: np.ndarray  # [width], of the layer normalisation


class BlockCache(NamedTuple):
    """What a block's backward pass needs of its forward pass."""

    inputs: np.ndarray  # [batch, fan in]
    normalised: np.ndarray  # [batch, width]
    inverse_std: np.ndarray  # [batch, 1]
    hidden: np.ndarray  # [batch, width]


class Cache(NamedTuple):
    """What `Network.backward` needs of `Network.forward`."""

    blocks: list[BlockCache]
    inputs: np.ndarray  # [batch, fan in] of the output layer


@dataclasses.dataclass(frozen=True)
class Network:
    """A multi-layer perceptron with one output.

    Attributes:
        input_dim: numbers per sample.
        width: units of each hidden block.
        depth: number of hidden blocks, >= 1.
        joined_dim: numbers per sample that join after the first block (where a critic's action
            enters: the states have one block of their own); 0 for none.
    """

    input_dim: int
    width: int
    depth: int
    joined_dim: int = 0

    def fan_in(self, block: int) -> int:
        """Inputs of hidden block `block`, or of the output layer (`block` = depth)."""
        if block == 0:
            return self.input_dim
        return self.width + (self.joined_dim if block == 1 else 0)

    @functools.cached_property
    def size(self) -> int:
        """Number of parameters."""
        hidden = sum((self.fan_in(block) + 3) * self.width for block in range(self.depth))
        return hidden + self.fan_in(self.depth) + 1

    def parameters(self, flat: np.ndarray | None = None) -> "Parameters":
        """Give a flat vector [size] its structure; zeros when none is given."""
        return Parameters(self, np.zeros(self.size, np.float32) if flat is None else flat)

    def initial_parameters(self, generator: np.random.Generator) -> "Parameters":
        """Draw parameters: uniform +-1/sqrt(fan in) in the blocks, +-0.003 at the output."""
        parameters = self.parameters()
        for block in parameters.blocks:
            limit = 1.0 / math.sqrt(block.kernel.shape[0])
            block.kernel[...] = generator.uniform(-limit, limit, block.kernel.shape)
            block.gain[...] = 1.0
        out = parameters.out_kernel
        out[...] = generator.uniform(-OUTPUT_INIT_LIMIT, OUTPUT_INIT_LIMIT, out.shape)
        return parameters

    @functools.cached_property
    def perturbable(self) -> np.ndarray:
        """Boolean [size]: False for layer normalisation, which parameter noise leaves alone.

        Noise of one size suits all layers because normalisation makes them alike; perturbing the
        normalisation itself would undo that (Plappert et al. 2017, section 3).
        """
        mask = np.ones(self.size, bool)
        for block in self.parameters(mask).blocks:
            block.gain[...] = False
            block.offset[...] = False
        return mask

    def forward(
        self, parameters: "Parameters", inputs: np.ndarray, joined: np.ndarray | None = None
    ) -> tuple[np.ndarray, Cache]:
        """Compute the outputs.

        Args:
            parameters: of this network.
            inputs: float32 [batch, input_dim].
            joined: float32 [batch, joined_dim], or None where there is none.

        Returns:
            (float32 [batch], what `backward` needs).
        """
        x = inputs
        caches: list[BlockCache] = []
        for block in parameters.blocks:
            z = x @ block.kernel
            z += block.bias
            inverse_std = _normalise(z)
            hidden = z * block.gain
            hidden += block.offset
            np.maximum(hidden, 0.0, out=hidden)
            first = not caches
            caches.append(BlockCache(x, z, inverse_std, hidden))
            joins = first and joined is not None
            x = np.concatenate([hidden, joined], axis=1) if joins else hidden
        return x @ parameters.out_kernel + parameters.out_bias, Cache(caches, x)

    def backward(
        self,
        parameters: "Parameters",
        cache: Cache,
        output_gradient: np.ndarray,
        into: "Parameters | None" = None,
    ) -> np.ndarray:
        """Carry a gradient back from the outputs.

        Args:
            parameters: as given to `forward`.
            cache: from `forward`.
            output_gradient: float32 [batch], the loss's gradient with respect to the outputs.
            into: takes the gradient of the parameters; None when it is not wanted.

        Returns:
            The gradient of `joined`, float32 [batch, joined_dim].
        """
        if into is not None:
            np.matmul(output_gradient, cache.inputs, out=into.out_kernel)
            into.out_bias[0] = output_gradient.sum()
        upstream = output_gradient[:, None] * parameters.out_kernel
        for index in reversed(range(self.depth)):
            block, kept = parameters.blocks[index], cache.blocks[index]
            upstream, joined_gradient = upstream[:, : self.width], upstream[:, self.width :]
            upstream = upstream * (kept.hidden > 0.0)
            if into is not None:
                _sum_samples(upstream * kept.normalised, into.blocks[index].gain)
                _sum_samples(upstream, into.blocks[index].offset)
            upstream *= block.gain
            _normalise_backward(upstream, kept)
            if into is not None:
                np.matmul(kept.inputs.T, upstream, out=into.blocks[index].kernel)
                _sum_samples(upstream, into.blocks[index].bias)
            if index:
                upstream = upstream @ block.kernel.T
        return joined_gradient


class Parameters:
    """A flat parameter vector with its structure.

    Attributes:
        flat: the vector [size]; everything else shares its memory.
        blocks: one `Block` per hidden block.
        out_kernel: [fan in] of the output layer.
        out_bias: [1].
    """

    def __init__(self, network: Network, flat: np.ndarray) -> None:
        self.flat = flat
        self.blocks: list[Block] = []
        width, start = network.width, 0
        for index in range(network.depth):
            stop = start + network.fan_in(index) * width
            vectors = flat[stop : stop + 3 * width].reshape(3, width)
            self.blocks.append(Block(flat[start:stop].reshape(-1, width), *vectors))
            start = stop + 3 * width
        self.out_kernel, self.out_bias = flat[start:-1], flat[-1:]


@functools.lru_cache(maxsize=32)
def _constant(length: int, value: float) -> np.ndarray:
    """A constant vector: a product with it sums twice as fast as `sum` does at these sizes."""
    return np.full(length, value, np.float32)


def _sum_samples(values: np.ndarray, out: np.ndarray) -> None:
    """Sum [batch, width] over the samples into `out` [width]."""
    np.matmul(_constant(len(values), 1.0), values, out=out)


def _normalise(z: np.ndarray) -> np.ndarray:
    """Turn z [batch, width] into (z - mean) / std in place; return 1 / std [batch, 1]."""
    averaging = _constant(z.shape[1], 1.0 / z.shape[1])
    z -= (z @ averaging)[:, None]
    variance = np.square(z) @ averaging
    inverse_std = (1.0 / np.sqrt(variance + np.float32(LAYER_NORM_EPSILON)))[:, None]
    z *= inverse_std
    return inverse_std


def _normalise_backward(upstream: np.ndarray, kept: BlockCache) -> None:
    """Gradient u through `_normalise`, in place: (u - mean(u) - n * mean(u * n)) / std."""
    averaging = _constant(upstream.shape[1], 1.0 / upstream.shape[1])
    along = (upstream * kept.normalised) @ averaging
    upstream -= (upstream @ averaging)[:, None]
    upstream -= kept.normalised * along[:, None]
    upstream *= kept.inverse_std


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """The logistic function, without overflow for large |logits|.

    Example:
        >>> sigmoid(np.array([-1000.0, 0.0, 1000.0]))
        array([0. , 0.5, 1. ])
    """
    return 0.5 * (1.0 + np.tanh(0.5 * logits))
