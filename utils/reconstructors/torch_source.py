"""The frame of a network's source in PyTorch: the class, what it holds, its inputs and outputs."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from utils.graph.ir import Shape
from utils.reconstructors import torch_text as text
from utils.reconstructors.rebuilding import RefusedError
from utils.reconstructors.torch_text import Attribute, Local, Statement, identifier, literal

COUNTER = "num_batches_tracked"  # which batch norms hold
_TYPES = ("bool", "uint8", "int8", "int16", "int32", "int64", "float32", "uint16", "uint32")
PARTS = ("pad_same", "drop", "straight_through", "GaussianNoise", "GaussianDropout", "Recurrent")
"""What of `torch_parts` is copied into a source, in this order."""
_RESERVED = ("F", "nn", "self", "torch", "training")
OF_MODULES = frozenset(
    (
        "T_destination add_module apply bfloat16 buffers call_super_init children compile cpu cuda "
        "double dump_patches eval extra_repr float forward get_buffer get_extra_state "
        "get_parameter get_submodule half ipu load_state_dict modules mtia named_buffers "
        "named_children "
        "named_modules named_parameters parameters register_backward_hook register_buffer "
        "register_forward_hook register_forward_pre_hook register_full_backward_hook "
        "register_full_backward_pre_hook register_load_state_dict_post_hook "
        "register_load_state_dict_pre_hook register_module register_parameter "
        "register_state_dict_post_hook register_state_dict_pre_hook requires_grad_ set_extra_state "
        "set_submodule share_memory state_dict to to_empty train training type xpu zero_grad "
    ).split()
)
"""Names that every `nn.Module` has already, of PyTorch 2.13 and before."""
_FILE = '''"""{own}: a network for PyTorch, written by Flowpress. It needs nothing but torch."""

import torch
import torch.nn.functional as F
from torch import nn


{parts}class {own}(nn.Module):
    """Maps have their channels {order}.

    Takes:
        {inputs}

    Returns:
        {outputs}
    """

    def __init__(self):
        super().__init__(){setup}

    def forward(self, {names}):
{body}        return {returned}


def load(path):
    """Make the network with the weights of a file, ready to compute."""
    network = {own}()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network.eval()
'''


class TorchFrame:
    """What a module holds, its inputs and outputs, and the lines of its `forward`.

    Attributes:
        state: arrays of the module's state dict.
    """

    def __init__(self) -> None:
        self.state: dict[str, np.ndarray] = {}
        self._layer = ""
        self._inputs: dict[Local, str] = {}
        self._described: list[str] = []
        self._outputs: list[Any] = []
        self._given: list[str] = []
        self._statements: list[Statement] = []
        self._setup: list[str] = []
        self._held: dict[tuple[str, str], list[tuple[str, str]]] = {}
        self._attributes: set[str] = set()
        self._parts: set[str] = set()
        self._count = 0

    # -- the frame ------------------------------------------------------------------------------

    def begin(self, layer: str, call: str) -> None:
        """See `Target`, as for all other steps."""
        self._layer = layer

    def input(self, name: str, shape: Shape, dtype: str) -> Local:
        number = self._new()
        self._inputs[number] = identifier(name, {*self._inputs.values(), *_RESERVED})
        self._described.append(f"{self._inputs[number]}: {dtype} {_sizes(shape)}")
        return number

    def output(self, name: str, x: Any, shape: Shape, dtype: str) -> None:
        self._outputs.append(x)
        self._given.append(f"{identifier(name)}: {dtype} {_sizes(shape)}")

    def source(self, name: str, structure: Any, *, last: bool = False) -> str:
        """Write the file.

        Args:
            name: of the network.
            structure: of its outputs; leaves in the order of `output`.
            last: whether maps have their channels last at the border.

        Returns:
            Python source with one module class and a function `load`.
        """
        statements = text.needed(self._statements, self._outputs)
        body, names = text.lines(statements, self._outputs, self._inputs)
        own = text.class_name(name, (*PARTS, *_RESERVED, "load"))
        given = iter([text.shown(each, names) for each in self._outputs])
        source = _FILE.format(
            own=own,
            order="last" if last else "first",
            parts="".join(self._part_texts()),
            inputs="\n        ".join(self._described),
            outputs="\n        ".join(self._given),
            setup="".join(f"\n        {line}" for line in self._setup),
            names=", ".join(self._inputs.values()),
            body="".join(f"        {line}\n" for line in body),
            returned=_structured(structure, given),
        )
        ast.parse(source)  # a mistake of ours must not wait for the user
        return source

    def _part_texts(self) -> list[str]:
        if not self._parts:
            return []
        from utils.reconstructors import torch_parts

        texts = (
            inspect.getsource(getattr(torch_parts, part)) for part in PARTS if part in self._parts
        )
        ignored = "  # type: ignore[no-untyped-def]"
        return [f"{each.replace(ignored, '')}\n\n" for each in texts]

    def _new(self) -> Local:
        self._count += 1
        return Local(self._count)

    def _emit(self, source: str, *inputs: Any) -> Local:
        number = self._new()
        self._statements.append(Statement(text=source, inputs=inputs, outputs=(number,)))
        return number

    def _part(self, name: str) -> str:
        self._parts.add(name)
        return name

    # -- what the module holds ------------------------------------------------------------------

    def _hold(
        self, part: str, source: str, arrays: Mapping[str, np.ndarray], made: str = ""
    ) -> str:
        """Hold a module of the current layer; another one for other calls shares its arrays.

        Args:
            part: of the layer: "" for its main module.
            source: what makes it.
            arrays: by their names in it.
            made: what is assigned, where it is not the source itself.

        Returns:
            The attribute's name.
        """
        held = self._held.setdefault((self._layer, part), [])
        for attribute, earlier in held:
            if earlier == source and self._equal(attribute, arrays):
                return attribute
        wanted = f"{self._layer}_{part}" if part else self._layer
        attribute = identifier(wanted, {*self._attributes, *_RESERVED, *OF_MODULES})
        self._attributes.add(attribute)
        self._setup.append(made.format(attribute) if made else f"self.{attribute} = {source}")
        twin = next((name for name, _ in held if self._equal(name, arrays)), None)
        held.append((attribute, source))
        for name, array in arrays.items():
            self.state[_key(attribute, name)] = array
            if twin is not None and name and COUNTER not in name:
                self._setup.append(f"self.{attribute}.{name} = self.{twin}.{name}")
        return attribute

    def _equal(self, attribute: str, arrays: Mapping[str, np.ndarray]) -> bool:
        return all(
            _key(attribute, name) in self.state
            and np.array_equal(self.state[_key(attribute, name)], array)
            for name, array in arrays.items()
        )

    def _module(self, source: str, arrays: Mapping[str, Any], x: Any, *more: Any) -> Local:
        attribute = self._hold("", source, {k: v for k, v in arrays.items() if v is not None})
        rest = "".join(f", {{{number}}}" for number in range(1, len(more) + 1))
        return self._emit(f"self.{attribute}({{0}}{rest})", x, *more)

    def constant(self, name: str, values: np.ndarray, *, trained: bool = False) -> Attribute:
        array = np.array(values, order="C")
        zeros = f"torch.zeros({literal(array.shape)}, dtype={dtype_text(str(array.dtype))})"
        made = (
            f"self.{{0}} = nn.Parameter({zeros})"
            if trained
            else f'self.register_buffer("{{0}}", {zeros})'
        )
        return Attribute(f"self.{self._hold(name, zeros, {'': array}, made)}")


def dtype_text(dtype: str) -> str:
    """Write a type of Keras.

    Raises:
        RefusedError: for one that PyTorch lacks.

    Example:
        >>> dtype_text("float32")
        'torch.float32'
    """
    if dtype not in _TYPES:
        raise RefusedError(f"it computes in {dtype}")
    return f"torch.{dtype}"


def _sizes(shape: Shape) -> str:
    return f"[{', '.join('n' if size is None else str(size) for size in shape)}]"


def _key(attribute: str, name: str) -> str:
    return f"{attribute}.{name}" if name else attribute


def _structured(structure: Any, given: Iterator[str]) -> str:
    """Write nested lists, tuples and dicts of outputs; the order is that of `leaves`."""
    if isinstance(structure, Mapping):
        parts = {key: _structured(structure[key], given) for key in sorted(structure)}
        return f"{{{', '.join(f'{key!r}: {shown}' for key, shown in parts.items())}}}"
    if isinstance(structure, (list, tuple)):
        return f"({''.join(f'{_structured(each, given)}, ' for each in structure).rstrip()})"
    return next(given)
