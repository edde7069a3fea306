"""Flags of the learner `filter-pruned`."""

import dataclasses
import functools
from typing import TYPE_CHECKING, ClassVar

from learners.filter_pruning.recipe import (
    AUTO,
    CRITERIA,
    SPECIFIED,
    Pruner,
    Recipe,
    Step,
    parse_layers,
    read_recipe,
)
from learners.learner_config import LearnerConfig, OwnTeacher
from learners.name_parts import name_parts
from utils.errors import InputError
from utils.flags import flag

if TYPE_CHECKING:
    from learners.config import RunConfig


_ON_IMAGES = ("taylor", "obs")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FilterPrunedConfig(LearnerConfig):
    """Which filters go, and when."""

    PREFIX: ClassVar[str] = "fp_"
    STATE_FIELD: ClassVar[str | None] = "save_path"
    ARTEFACT_FIELD: ClassVar[str | None] = "save_path_eval"

    save_path: str = flag("./models_fp/model.keras", "Resumable state of the learner.", path=True)
    save_path_eval: str = flag(
        "./models_fp_eval/model.keras",
        "The artefact, its .tflite files and report beside it.",
        path=True,
    )
    config: str | None = flag(
        None,
        "A YAML document of pruners, prune_schedulers, lr_schedulers and distill, instead of the "
        "flags for one step.",
        path=True,
        rivals=("fp_criterion", "fp_prune_ratio", "fp_prune_type", "fp_layers"),
    )
    criterion: str = flag(
        "l1_norm",
        "Which filters go: l1_norm, l2_norm of their weights; bn_gamma, scales of batch norms; "
        "geometric_median, the most replaceable; taylor, the change of the loss to first order; "
        "obs, backward elimination with least squares; random, the control.",
        choices=CRITERIA,
    )
    prune_ratio: float = flag(
        0.5,
        "Fraction of the filters removed from each layer that is pruned.",
        lower=0.0,
        upper=1.0,
        upper_open=True,
        hint="1 would leave no network: choose a ratio below 1.",
        rivals=("budget", "setting"),
    )
    prune_type: str = flag(
        AUTO,
        f"{AUTO}: all layers whose filters can go. {SPECIFIED}: those in fp_layers alone.",
        choices=(AUTO, SPECIFIED),
    )
    layers: str | None = flag(
        None,
        f"With {SPECIFIED}: the layers that lose filters, separated by commas, each with a ratio "
        "of its own where that is another: conv2,fc1:0.7.",
    )
    residual: str = flag(
        "inner",
        "With auto_prune, residual streams: inner leaves them whole; joint prunes them too, the "
        "filters of all layers that write one scored together.",
        choices=("inner", "joint"),
    )
    skip_op_names: str | None = flag(
        None,
        "With auto_prune: layers whose name contains one of these comma-separated parts keep "
        "their filters.",
    )
    round_to: int = flag(
        1,
        "Keep multiples of this many filters where the ratio allows.",
        unit="filters",
        lower=1,
        upper=4_096,
    )
    nb_smpls: int = flag(
        1000, "Training images that the criteria taylor and obs look at.", lower=1, upper=1_000_000
    )
    nb_crops_per_smpl: int = flag(
        10,
        "With obs: random output positions taken from each image and layer.",
        lower=1,
        upper=1_000,
    )
    latency_step: int = flag(
        16,
        "With a latency budget counts are multiples of this many filters, where processors have "
        "their steps; of a quarter of the group where it is smaller than four steps.",
        unit="filters",
        lower=1,
        upper=4_096,
    )

    @functools.cached_property
    def recipe(self) -> Recipe:
        """What the flags or the document say.

        Raises:
            InputError: whatever is wrong with them, in one line.
        """
        if self.config is not None:
            return read_recipe(self.config)
        named = self.prune_type == SPECIFIED
        if named != (self.layers is not None):
            raise InputError(
                f"`fp_prune_type` {SPECIFIED} and `fp_layers` go together. Received: "
                f"{self.prune_type}, {self.layers}. Give both, or none."
            )
        layers = parse_layers(self.layers, self.prune_ratio, "`fp_layers`") if self.layers else None
        ratio = self.prune_ratio if layers is None else None
        pruner = Pruner(name="flags", criterion=self.criterion, ratio=ratio, layers=layers)
        source = "`fp_prune_ratio`" if layers is None else "`fp_layers`"
        return Recipe(steps=(Step(0.0, (pruner,)),), source=source)

    @property
    def channel_search(self) -> "FilterPrunedConfig":
        """Where budgets look for `latency_step`."""
        return self

    def skipped(self) -> tuple[str, ...]:
        """Give the parts of names of layers that are left alone."""
        return name_parts(self.skip_op_names)

    def idle(self) -> dict[str, str]:
        """See `LearnerConfig`."""
        found: dict[str, str] = {}
        if self.config is not None:
            return found
        if self.layers is not None:
            why = "`fp_layers` names the layers."
            found |= dict.fromkeys(("fp_residual", "fp_skip_op_names"), why)
            if all(":" in part for part in self.layers.split(",")):
                found["fp_prune_ratio"] = "every layer in `fp_layers` has its own ratio."
        if self.criterion not in _ON_IMAGES:
            found["fp_nb_smpls"] = f"the criterion {self.criterion} looks at no images."
        if self.criterion != _ON_IMAGES[-1]:
            found["fp_nb_crops_per_smpl"] = f"only the criterion {_ON_IMAGES[-1]} has it."
        return found

    def own_teacher(self) -> OwnTeacher | None:
        """Give what `distill` of the document says."""
        distill = None if self.config is None else self.recipe.distill
        if distill is None:
            return None
        source = f"{self.recipe.source}: `distill`"
        return OwnTeacher(distill.temperature, distill.teacher_path, source)

    def takes_setting(self) -> bool:
        """A setting says how many filters of each group stay."""
        return True

    def check_run(self, run: "RunConfig", *, counts_given: bool, num_epochs: float | None) -> None:
        """Refuse a document that contradicts the flags of the run."""
        recipe = self.recipe
        if counts_given and self.config is not None and recipe.has_ratios:
            raise InputError(
                f"{recipe.source}: its ratios and --budget or --setting contradict each other: "
                "each says alone how much stays. Leave one out."
            )
        if counts_given and self.layers is not None:
            own = parse_layers(self.layers, None, "`fp_layers`")
            if any(ratio is not None for ratio in own.values()):
                raise InputError(
                    f"`fp_layers`: its ratios and --budget or --setting contradict each other: "
                    f"each says alone how much stays. Received: {self.layers!r}. Give names alone."
                )
        if not counts_given and not recipe.has_ratios:
            raise InputError(
                f"{recipe.source}: no pruner has a ratio. Give them one, or --budget=flops:0.5."
            )
        if recipe.distill is not None and run.distillation.enbl_dst:
            raise InputError(
                f"{recipe.source}: `distill` and --enbl_dst both give a teacher. Leave one out."
            )
        last = recipe.steps[-1].epoch
        if num_epochs is not None and last and last >= num_epochs:
            raise InputError(
                f"{recipe.source}: filters would go after epoch {last:g}, and training lasts "
                f"{num_epochs:g} epochs. Give a larger --nb_epochs, or smaller `epochs` in "
                "`prune_schedulers`."
            )

    def check_files(self) -> None:
        """Read the document, and the layers of the flags."""
        _ = self.recipe
