"""Layers' settings as Keras 2 wrote them, turned into those that the installed Keras takes.

Only settings that change nothing are left out. One that would compute something else is refused
with the layer's name; so is a class that is gone, and Python code.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import keras

from utils.errors import InputError
from utils.graph.keras_reading import check_safe, first_line, refuse_code

_RENAMED = {
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D",
    "Convolution2DTranspose": "Conv2DTranspose",
    "Convolution3DTranspose": "Conv3DTranspose",
    "SeparableConvolution1D": "SeparableConv1D",
    "SeparableConvolution2D": "SeparableConv2D",
    "SyncBatchNormalization": "BatchNormalization",
    "ThresholdedReLU": "ReLU",
}
_RENAMED_SETTINGS = {
    ("LeakyReLU", "alpha"): "negative_slope",
    ("ThresholdedReLU", "theta"): "threshold",
}
_ANY = object()
# Settings that the installed Keras lacks: with one of these values they change nothing.
_NEUTRAL: Mapping[str, Any] = {
    "adjustment": (None,),
    "causal": (False,),
    "dynamic": (False,),
    "fused": _ANY,
    "groups": (1,),
    "implementation": _ANY,
    "input_dim": _ANY,  # said by the weights' shapes too
    "input_length": _ANY,
    "keepdims": (False,),
    "key_shape": _ANY,
    "noise_shape": (None,),
    "optional": (False,),
    "output_padding": (None,),
    "query_shape": _ANY,
    "ragged": (False,),
    "renorm": (False,),
    "renorm_clipping": _ANY,
    "renorm_momentum": _ANY,
    "rms_scaling": (False,),
    "robust_masking": (False,),
    "softmax_robust_masking": (False,),
    "synchronized": _ANY,
    "time_major": (False,),
    "trainable": _ANY,
    "value_shape": _ANY,
    "virtual_batch_size": (None,),
    "weights": (None,),
    "zero_output_for_mask": (False,),
}
# Depthwise and separable convolutions inherited these from Conv2D and never used them.
_UNUSED = ("filters", "kernel_initializer", "kernel_regularizer", "kernel_constraint")
_OF_EVERY_LAYER = frozenset({"name", "trainable", "dtype", "activity_regularizer"})
_POLICIES = frozenset(
    "float16 bfloat16 float32 float64 mixed_float16 mixed_bfloat16 int8 int16 int32 int64 uint8 "
    "bool string".split()
)
_INNER_LAYERS = ("layer", "backward_layer", "cell")
_MODULES = {
    "initializer": "keras.initializers",
    "regularizer": "keras.regularizers",
    "constraint": "keras.constraints",
}


def plain(value: Any) -> Any:
    """Undo how Keras 2 wrote tuples, arrays and shapes in JSON.

    Example:
        >>> plain({"class_name": "__tuple__", "items": [1, {"type": "ndarray", "value": 0.5}]})
        (1, 0.5)
    """
    if isinstance(value, list):
        return [plain(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    if value.get("class_name") in ("__tuple__", "TensorShape") and isinstance(
        value.get("items"), list
    ):
        return tuple(plain(item) for item in value["items"])
    if set(value) == {"type", "value"} and value["type"] == "ndarray":
        return plain(value["value"])
    return {key: plain(item) for key, item in value.items()}


def layer_class(class_name: Any, layer: str) -> type:
    """Find the class of a layer: a registered one, or the installed Keras' own.

    Raises:
        InputError: if there is none.
    """
    own = keras.saving.get_registered_object(str(class_name))
    found = own or getattr(keras.layers, str(_RENAMED.get(str(class_name), class_name)), None)
    if not inspect.isclass(found) or not issubclass(found, keras.Layer):
        raise InputError(
            f"layer {layer!r}: the class {class_name!r:.80} is unknown to the installed Keras. "
            "Register a class of your own with @keras.saving.register_keras_serializable(); one "
            "that Keras no longer has must be replaced where the network was made."
        )
    return found


def written_anew(written: Any, *, allow_unsafe: bool) -> dict[str, Any]:
    """Describe a layer as the installed Keras would.

    Args:
        written: `class_name` and `config` as in the file, through `plain`.
        allow_unsafe: admit Python code.

    Returns:
        What `keras.saving.deserialize_keras_object` takes.

    Raises:
        InputError: if the class or a setting is unknown, or it is Python code and not admitted.
    """
    if not isinstance(written, Mapping) or not isinstance(written.get("config"), Mapping):
        raise InputError(f"a layer is not described by class_name and config: {written!r:.80}.")
    class_name = written.get("registered_name") or written.get("class_name")
    config = dict(written["config"])
    layer = str(config.get("name", class_name))
    cls = layer_class(class_name, layer)
    if not allow_unsafe:
        check_safe(f"keras.layers.{cls.__name__}", layer, allow_unsafe=False)
        refuse_code(config, layer)
    config.pop("batch_input_shape", None)
    own = cls.__module__.split(".")[0] != "keras"
    if cls is keras.layers.Lambda:
        config = _lambda_settings(config)
    elif not own:
        config = _accepted(cls, str(class_name), config, layer)
    inner = {
        key: _inner(key, value, layer, allow_unsafe=allow_unsafe) for key, value in config.items()
    }
    return {
        "module": cls.__module__ if own else "keras.layers",
        "class_name": cls.__name__,
        "config": inner,
        "registered_name": class_name if own else None,
    }


def _accepted(cls: type, class_name: str, config: Mapping[str, Any], layer: str) -> dict[str, Any]:
    """Rename settings, leave out those that change nothing, refuse those that would."""
    known = _parameters(cls)
    kept = {}
    for old, value in config.items():
        key = _RENAMED_SETTINGS.get((class_name, old), old)
        if key in known:
            kept[key] = value
        elif not _changes_nothing(cls, key, value):
            raise InputError(
                f"layer {layer!r} ({class_name}): its setting {old!r} = {value!r:.80} is unknown "
                "to the installed Keras, and without it the layer would compute something else."
            )
    if isinstance(kept.get("axis"), list) and len(kept["axis"]) == 1:
        kept["axis"] = kept["axis"][0]
    if cls in (keras.layers.GRU, keras.layers.GRUCell):
        kept.setdefault("reset_after", False)  # written since there is another way
    return kept


def _parameters(cls: type) -> frozenset[str]:
    """Names that a layer's constructor takes, those that it hands on included."""
    found: set[str] = set()
    for base in cls.__mro__:
        if base is keras.Layer:
            return frozenset(found | _OF_EVERY_LAYER)
        if "__init__" not in vars(base):
            continue
        parameters = inspect.signature(base.__init__).parameters.values()  # type: ignore[misc]
        found |= {parameter.name for parameter in parameters}
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            break
    return frozenset(found)


def _changes_nothing(cls: type, key: str, value: Any) -> bool:
    if key in _UNUSED and cls.__name__.startswith(("Depthwise", "Separable")):
        return True
    neutral = _NEUTRAL.get(key, ())
    return neutral is _ANY or value in neutral


def _inner(key: str, value: Any, layer: str, *, allow_unsafe: bool) -> Any:
    """Turn what a setting holds, another layer or a configured object, as well."""
    if key == "dtype":
        return policy(value, layer)
    if key in _INNER_LAYERS and isinstance(value, Mapping):
        return written_anew(value, allow_unsafe=allow_unsafe)
    if key == "cells":
        return [written_anew(cell, allow_unsafe=allow_unsafe) for cell in value]
    if key.endswith("activation") and isinstance(value, Mapping):
        if value.get("class_name") == "function":
            return value.get("config")
        return written_anew(value, allow_unsafe=allow_unsafe)
    module = _MODULES.get(key.rpartition("_")[2])
    if module is not None and isinstance(value, Mapping):
        return _configured(module, value, f"layer {layer!r}: its {key}")
    return value


def _configured(module: str, value: Mapping[str, Any], where: str) -> dict[str, Any] | None:
    """Describe an initializer, regularizer or constraint anew."""
    config = dict(value.get("config") or {})
    if module == "keras.initializers":
        config.pop("dtype", None)
        if config.get("distribution") == "normal":
            config["distribution"] = "truncated_normal"
    class_name = value.get("class_name")
    own = keras.saving.get_registered_object(class_name) is not None
    anew = {
        "module": module,
        "class_name": class_name,
        "config": config,
        "registered_name": class_name if own else None,
    }
    try:
        keras.saving.deserialize_keras_object(anew)
    except Exception as error:  # whatever a foreign configuration makes a constructor raise
        if module == "keras.initializers":  # of no effect: all weights come from the file
            return None
        raise InputError(f"{where} {class_name!r} cannot be made ({first_line(error)}).") from error
    return anew


def policy(value: Any, layer: str) -> str | None:
    """Find the name of a layer's number format.

    Args:
        value: a name, or a serialized policy.
        layer: for the message.

    Returns:
        A name that Keras knows; None for Keras 2's `infer`, which follows the inputs.

    Raises:
        InputError: for any other value.

    Example:
        >>> policy({"class_name": "Policy", "config": {"name": "mixed_float16"}}, "dense")
        'mixed_float16'
    """
    name = value.get("config", {}).get("name") if isinstance(value, Mapping) else value
    if name is None or (isinstance(name, str) and name.lstrip("_").startswith("infer")):
        return None
    if name not in _POLICIES:
        raise InputError(f"layer {layer!r}: the dtype {value!r:.80} is unknown.")
    return str(name)


def _lambda_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Write the function of a Lambda layer as the installed Keras does."""
    gone = ("module", "function_type", "output_shape_type", "output_shape_module")
    kept = {key: value for key, value in config.items() if key not in gone}
    for key in ("function", "output_shape"):
        written = kept.get(key)
        if isinstance(written, (list, tuple)) and len(written) == 3 and isinstance(written[0], str):
            code = dict(zip(("code", "defaults", "closure"), written, strict=True))
            kept[key] = {"class_name": "__lambda__", "config": code}
        elif isinstance(written, str) and key == "function":
            kept[key] = {"module": "builtins", "class_name": "function", "config": written}
    return kept
