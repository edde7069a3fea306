"""The loss of a stage: its head's, or in the last stage the network's own."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from learners.discrimination_aware_pruning.heads import Head, head_loss
from nets.abstract_model_helper import AbstractModelHelper
from utils.graph import Graph, Ref
from utils.graph.ir import map_leaves
from utils.training import Term, TermInputs


@dataclasses.dataclass(frozen=True)
class StageLoss:
    """The discrimination-aware loss of a stage, for the choice of its channels.

    Attributes:
        refs: the tensors of the network that it is taken from.
        compute: (labels, their values, the variables that are tuned) -> scalar.
    """

    refs: tuple[Ref, ...]
    compute: Callable[[Any, Sequence[Any], Sequence[Any]], Any]


def classifying_loss(end: Ref, head: Head, helper: AbstractModelHelper) -> StageLoss:
    """Make the loss of a stage that ends with a head."""

    def compute(labels: Any, values: Sequence[Any], variables: Sequence[Any]) -> Any:
        del variables
        return head_loss(helper.plain_labels(labels), head.part(values[0], training=False))

    return StageLoss((end,), compute)


def own_loss(graph: Graph, helper: AbstractModelHelper) -> StageLoss:
    """Make the loss of the last stage: the network's own, L_f."""

    def compute(labels: Any, values: Sequence[Any], variables: Sequence[Any]) -> Any:
        by_ref = dict(zip(graph.outputs, values, strict=True))
        outputs = map_leaves(by_ref.__getitem__, graph.output_structure)
        return helper.calc_loss(labels, outputs, variables)[0]

    return StageLoss(graph.outputs, compute)


def head_term(head: Head, helper: AbstractModelHelper) -> Term:
    """Make the term L_p that a stage's fine-tuning adds to the network's own loss."""

    def compute(batch: TermInputs) -> Any:
        return head_loss(helper.plain_labels(batch.labels), batch.tensors[head.layer])

    return Term("discrimination", 1.0, (head.layer,), compute)
