"""Shorter and older forms in which a ModelHelper may be written; callers see the full one."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from utils.errors import InputError

if TYPE_CHECKING:
    import keras

    from utils.graph import Graph


def full_dataset_signature(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a short `build_dataset_train` the full signature: infinite, starting anywhere.

    It is divided among several workers here; one in the full form does it itself (`self.worker`).
    """
    parameters = inspect.signature(function).parameters
    takes_first_step = "first_step" in parameters
    takes_split = "enbl_trn_val_split" in parameters
    if takes_first_step and takes_split:
        return function

    @functools.wraps(function)
    def build(self: Any, enbl_trn_val_split: bool = False, *, first_step: int = 0) -> Any:
        if enbl_trn_val_split and not takes_split:
            raise InputError(
                f"{type(self).__name__}.build_dataset_train cannot hold out validation data. Give "
                "it the argument enbl_trn_val_split and return (training, validation) when it is "
                "True."
            )
        rank, num_workers = self.worker  # of every step's batches each worker takes one
        first_batch = first_step * num_workers
        arguments: dict[str, Any] = {}
        if takes_split:
            arguments["enbl_trn_val_split"] = enbl_trn_val_split
        if takes_first_step:
            arguments["first_step"] = first_batch
        result = function(self, **arguments)
        training = result[0] if enbl_trn_val_split else result
        training = training if training.cardinality() == -1 else training.repeat()
        training = training if takes_first_step or not first_batch else training.skip(first_batch)
        training = training if num_workers == 1 else training.shard(num_workers, rank)
        return (training, result[1]) if enbl_trn_val_split else training

    return build


def full_schedule_signature(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a `setup_lrn_rate(self)` the argument `nb_epochs`; an absolute number of epochs wins."""
    if "nb_epochs" in inspect.signature(function).parameters:
        return function

    @functools.wraps(function)
    def setup(self: Any, nb_epochs: float | None = None) -> tuple[Any, int]:
        schedule, num_steps = function(self)
        if nb_epochs is not None:
            num_steps = math.ceil(nb_epochs * self.steps_per_epoch)
        return schedule, num_steps

    return setup


def without_fixed_training(model: keras.Model) -> keras.Model:
    """Drop `training=True` from the calls of a network made by an older `forward_train`.

    A layer called so would ignore that the model is only evaluated.
    """
    from utils.graph import copy_network

    def is_fixed(node: Any) -> bool:
        return node.arguments.kwargs.get("training") is True

    nodes = [node for operation in model.operations for node in operation._inbound_nodes]
    if not any(is_fixed(node) for node in nodes):
        return model
    return copy_network(model, allow_unsafe=True, change=_without_training)


def _without_training(graph: Graph) -> Graph:
    return graph.replace(
        nodes=tuple(
            node.replace(kwargs={k: v for k, v in node.kwargs.items() if k != "training"})
            for node in graph.nodes
        )
    )
