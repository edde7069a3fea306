"""State that is neither in a layer's config nor in its weights: vocabularies that it learned."""

from __future__ import annotations

from typing import Any

import keras

from utils.errors import InputError


def with_tables(operation: Any, attrs: dict[str, Any]) -> dict[str, Any]:
    """Write a learned vocabulary into a layer's config, as if the layer had been made with it.

    Keras keeps what `adapt()` learned in a file beside the config (StringLookup, IntegerLookup,
    TextVectorization); Discretization and Normalization need nothing, theirs is in config and
    weights.

    Args:
        operation: the layer or operation.
        attrs: its config.

    Returns:
        The config that makes an equal layer.

    Raises:
        InputError: if a layer inside this one has learned a vocabulary, or a class saves files of
            its own: neither can be carried over.
    """
    if not isinstance(operation, keras.Layer):
        return attrs
    if hasattr(operation, "get_vocabulary"):
        return _with_vocabulary(operation, attrs)
    for part in operation._flatten_layers():
        if hasattr(part, "save_assets") and not (
            hasattr(part, "get_vocabulary") and _is_in_config(part)
        ):
            raise InputError(
                f"layer {operation.name!r}: the {type(part).__name__} in it keeps a table that "
                "cannot be carried into a new layer. Give it its vocabulary in the constructor, or "
                "take it out of the network: apply it to the data."
            )
    return attrs


def _is_in_config(part: Any) -> bool:
    return part.get_config().get("vocabulary") is not None or not _words(part)


def _words(layer: Any) -> list[Any]:
    return list(layer.get_vocabulary(include_special_tokens=False))


def _with_vocabulary(layer: Any, attrs: dict[str, Any]) -> dict[str, Any]:
    if attrs.get("vocabulary") is not None or not _words(layer):
        return attrs
    table = getattr(layer, "_lookup_layer", layer)  # TextVectorization has its own inside
    learned = {"vocabulary": [_plain(word) for word in layer.get_vocabulary()]}
    if table.output_mode == "tf_idf":
        learned["idf_weights"] = table.idf_weights_const.numpy().tolist()
    return {**attrs, **learned}


def _plain(word: Any) -> Any:
    return word.item() if hasattr(word, "item") else word
