"""Networks from the descriptions that Keras 2 wrote: their layers called anew, one after the other.

Also those of today's Keras' own `.h5` files, whose calls are written in another way.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from utils import own_objects
from utils.errors import InputError
from utils.graph.ir import unique_name
from utils.graph.keras_reading import first_line
from utils.legacy_keras.calls import Calls, NotYetError, arguments, tensors, unwrapped
from utils.legacy_keras.hard_sigmoid import SCALE, is_hard_sigmoid
from utils.legacy_keras.operators import operator
from utils.legacy_keras.settings import policy, written_anew

MODELS = ("Sequential", "Model", "Functional")
_RECURRENT = (keras.layers.RNN, keras.layers.Bidirectional)


@dataclasses.dataclass
class Building:
    """What a network is built from.

    Attributes:
        is_keras_2: whether Keras 2 wrote the file.
        allow_unsafe: admit Python code.
        names: what layers are called here by their names in the file, where these differ: today's
            names hold no slash.
        taken: names of layers, in the file and here.
        scaled: hard sigmoids behind a Rescaling of their own.
    """

    is_keras_2: bool
    allow_unsafe: bool = False
    names: dict[str, str] = dataclasses.field(default_factory=dict)
    taken: set[str] = dataclasses.field(default_factory=set)
    scaled: list[Any] = dataclasses.field(default_factory=list)

    def model(self, written: Any) -> keras.Model:
        """Build a network with fresh weights.

        Args:
            written: `class_name` and `config` as in the file, through `settings.plain`.

        Returns:
            An uncompiled Sequential or Functional model; models inside it stay models.

        Raises:
            InputError: if it cannot be built.
        """
        class_name = written.get("class_name") if isinstance(written, Mapping) else None
        if class_name not in MODELS:
            raise InputError(
                f"holds a {class_name!r}; only Sequential and functional models can be built from "
                "a description. Give its weights to a network of yours with --pretrained_path."
            )
        config = written.get("config")
        if isinstance(config, list):  # Keras 2.1 and 2.2 wrote a Sequential so
            config = {"layers": config}
        if not isinstance(config, Mapping) or not isinstance(config.get("layers"), list):
            raise InputError(f"the {class_name} has no list of layers.")
        names = (entry["name"] for entry in map(_named, config["layers"]) if "name" in entry)
        self.taken.update(str(name) for name in names)
        build = self._sequential if class_name == "Sequential" else self._functional
        model = build(config)
        if config.get("trainable") is False:
            model.trainable = False
        return model

    def _name(self, written: Any) -> str:
        """Give a layer's name, without slashes."""
        name = str(written)
        if "/" in name and name not in self.names:
            self.names[name] = unique_name(name.replace("/", "_"), self.taken)
            self.taken.add(self.names[name])
        return self.names.get(name, name)

    def _model_name(self, config: Mapping[str, Any]) -> str | None:
        return self._name(config["name"]) if config.get("name") else None

    def _layer(self, written: Mapping[str, Any]) -> Any:
        """Make a layer, or a model inside."""
        if written.get("class_name") in MODELS:
            return self.model(written)
        config = dict(written.get("config") or {})
        config["name"] = self._name(config.get("name") or written.get("name"))
        anew = written_anew({**written, "config": config}, allow_unsafe=self.allow_unsafe)
        try:
            with own_objects.scope():
                return keras.saving.deserialize_keras_object(anew, safe_mode=not self.allow_unsafe)
        except Exception as error:  # whatever a constructor makes of a foreign config
            raise InputError(
                f"layer {config['name']!r}: {anew['class_name']} cannot be built from its settings "
                f"({first_line(error)})."
            ) from error

    # --- Sequential -----------------------------------------------------------------------------

    def _sequential(self, config: Mapping[str, Any]) -> keras.Model:
        entries = [_checked(entry) for entry in config["layers"]]
        model = keras.Sequential(name=self._model_name(config))
        first = _input_of(entries[0]) if entries else None
        if first is not None:
            model.add(first)
        for entry in entries:
            if entry.get("class_name") == "InputLayer":
                continue
            for layer in self._with_scale(entry):
                _called(layer.name, functools.partial(model.add, layer))
        shape = config.get("build_input_shape")
        if not model.built and shape:
            model.build(tuple(shape))
        if not model.built:
            raise InputError(
                f"the Sequential model {model.name!r} does not say what it takes: its first layer "
                "has no input shape. Give its weights to a network of yours (--pretrained_path)."
            )
        return model

    def _with_scale(self, entry: Mapping[str, Any]) -> list[Any]:
        """Make a layer, behind a Rescaling where it is Keras 2's hard sigmoid."""
        layer = self._layer(entry)
        if not (self.is_keras_2 and is_hard_sigmoid(layer)):
            return [layer]
        scale = keras.layers.Rescaling(SCALE, name=f"{layer.name}_scale", dtype=layer.dtype_policy)
        self.scaled.append(layer)
        return [scale, layer]

    # --- functional -----------------------------------------------------------------------------

    def _functional(self, config: Mapping[str, Any]) -> keras.Model:
        calls: Calls = {}
        waiting = [self._layer_to_call(entry, calls) for entry in config["layers"]]
        while waiting:
            left = [item for item in waiting if not item.call_all(calls)]
            if len(left) == len(waiting) and not any(item.progressed for item in left):
                names = ", ".join(repr(item.name) for item in left[:3])
                raise InputError(f"the layers {names} read what no layer makes.")
            waiting = left
        try:
            ends = [tensors(config.get(side), calls) for side in ("input_layers", "output_layers")]
        except NotYetError as error:
            raise InputError("an output of the network is no layer's.") from error
        make = functools.partial(keras.Model, *map(unwrapped, ends), name=self._model_name(config))
        return _called(config.get("name"), make)

    def _layer_to_call(self, entry: Any, calls: Calls) -> _Pending:
        entry = _checked(entry)
        name = str(entry.get("name", entry["config"].get("name")))
        if entry.get("class_name") == "InputLayer":
            tensor = _input_of(entry, self._name(name))
            if tensor is None:
                raise InputError(f"the input {name!r} has no shape.")
            calls[name] = [[tensor]]
            return _Pending(name, [], _nothing)
        made = operator(entry)
        if made is None:
            *scale, layer = self._with_scale(entry)
            made = _calling(layer, scale)
            is_model = entry["class_name"] in MODELS
            is_counted = entry["class_name"] != "Sequential" or self.is_keras_2
            # A model's first call is the one that it was made with.
            calls[name] = [[]] if is_model and is_counted else []
        return _Pending(name, list(entry.get("inbound_nodes") or []), made)


@dataclasses.dataclass
class _Pending:
    """A layer whose calls are made as soon as what they read is there.

    Attributes:
        name: in the file.
        nodes: the calls left.
        function: makes one.
        progressed: whether the last round made any.
    """

    name: str
    nodes: list[Any]
    function: Callable[..., Any]
    progressed: bool = False

    def call_all(self, calls: Calls) -> bool:
        """Make the calls that can be made; True if that was all of them."""
        self.progressed = False
        while self.nodes:
            try:
                args, kwargs = arguments(self.nodes[0], calls)
            except NotYetError:
                return False
            made = _called(self.name, functools.partial(self.function, *args, **kwargs))
            calls.setdefault(self.name, []).append(keras.tree.flatten(made))
            self.nodes.pop(0)
            self.progressed = True
        return True


def _checked(entry: Any) -> Mapping[str, Any]:
    """Refuse what describes no layer; a Sequential inside may still be a list."""
    if not isinstance(entry, Mapping) or not isinstance(entry.get("config"), (Mapping, list)):
        raise InputError(f"a layer is not described by class_name and config: {entry!r:.80}.")
    if isinstance(entry["config"], list):
        return {**entry, "config": {"layers": entry["config"], "name": entry.get("name")}}
    return entry


def _named(entry: Any) -> Mapping[str, Any]:
    """Give the part of a layer's description that its name is in."""
    config = entry.get("config") if isinstance(entry, Mapping) else None
    return config if isinstance(config, Mapping) else {}


def _nothing() -> None:
    """Stand for the call of an input."""


def _calling(layer: Any, scale: Sequence[Any]) -> Callable[..., Any]:
    def call(inputs: Any, *args: Any, **kwargs: Any) -> Any:
        for before in scale:
            inputs = before(inputs)
        if isinstance(layer, _RECURRENT) and isinstance(inputs, list) and len(inputs) > 1:
            return layer(inputs[0], initial_state=inputs[1:], **kwargs)
        return layer(inputs, *args, **kwargs)

    return call


def _called(name: Any, make: Callable[[], Any]) -> Any:
    try:
        return make()
    except InputError:
        raise
    except Exception as error:  # a foreign description may call a layer with anything
        raise InputError(
            f"layer {name!r} cannot be called as the file says ({type(error).__name__}: "
            f"{first_line(error)})."
        ) from error


def _input_of(entry: Mapping[str, Any], name: str | None = None) -> Any:
    """Make the input that a layer's config describes; None if it describes none."""
    config = entry.get("config")
    if not isinstance(config, Mapping):
        return None
    shape = config.get("batch_input_shape") or config.get("batch_shape")
    if not isinstance(shape, (list, tuple)):
        return None
    if not all(size is None or (type(size) is int and size >= 0) for size in shape):
        raise InputError(f"layer {config.get('name')!r}: {shape} is no shape of an input.")
    if config.get("ragged"):
        raise InputError(f"layer {config.get('name')!r}: ragged inputs are not read.")
    dtype = policy(config.get("dtype"), str(config.get("name"))) or "float32"
    if dtype.startswith("mixed"):
        dtype = "float32"
    return keras.Input(
        batch_shape=tuple(shape), dtype=dtype, sparse=bool(config.get("sparse")), name=name
    )
