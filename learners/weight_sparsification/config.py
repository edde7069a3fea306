"""Flags of the learner `weight-sparse`."""

import dataclasses
import functools
from typing import TYPE_CHECKING, ClassVar

from learners.learner_config import Choice, LearnerConfig
from learners.search.config import RolloutConfig
from learners.sparsity.masks import Granularity, parse_granularity
from learners.sparsity.prune_dict import PruneDict, read_prune_dict
from learners.weight_sparsification.schedule import make_schedule
from utils.errors import InputError
from utils.flags import flag, group

if TYPE_CHECKING:
    from learners.config import RunConfig

_PROTOCOL = "ws_prune_ratio_prtl"
_STEP = ("ws_schedule", "step")
_TABLES = "a roll-out looks up kernels that were refitted in closed form before the search"
OBS = "obs"
SENSITIVITY = "sensitivity"


@dataclasses.dataclass(frozen=True, kw_only=True)
class SparseSearchConfig(RolloutConfig):
    """The flags of a search but its switch: `ws_prune_ratio_prtl` is that."""

    search: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class WeightSparseConfig(LearnerConfig):
    """Which weights go, how many of each layer, and when."""

    PREFIX: ClassVar[str] = "ws_"
    STATE_FIELD: ClassVar[str | None] = "save_path"
    ARTEFACT_FIELD: ClassVar[str | None] = "save_path_eval"

    save_path: str = flag("./models_ws/model.keras", "Resumable state of the learner.", path=True)
    save_path_eval: str = flag(
        "./models_ws_eval/model.keras",
        "The artefact, its .tflite files and report beside it.",
        path=True,
    )
    prune_ratio: float = flag(
        0.75,
        "Fraction of the weights removed, of all kernels that are up for it together. N:M of "
        "ws_granularity says it itself.",
        lower=0.0,
        upper=1.0,
        upper_open=True,
        rivals=("budget", "setting"),
    )
    prune_ratio_prtl: str = flag(
        "optimal",
        "How the layers share it. uniform: one ratio for all. heurist: the more weights, the "
        "higher the ratio. sensitivity: by what errors in each layer do to the outputs, measured "
        "on training images. optimal: an agent searches.",
        choices=("uniform", "heurist", SENSITIVITY, "optimal"),
    )
    prune_dict: str | None = flag(
        None,
        "A file with a ratio for each layer, by its name or a pattern, instead.",
        path=True,
        rivals=("budget", "setting", "ws_prune_ratio"),
    )
    ranking: str = flag(
        "per-layer",
        "per-layer: each layer has its ratio. global: the weights of all layers are ranked "
        "together (instead of ws_prune_ratio_prtl).",
        choices=("per-layer", "global"),
    )
    criterion: str = flag(
        "magnitude",
        "Which weights go. magnitude: the smallest. gradient: those whose product with the loss' "
        "gradient is. obs: those that the others make up for best, in closed form, layer by layer, "
        "before any training.",
        choices=("magnitude", "gradient", OBS),
    )
    granularity: str = flag(
        "element",
        "What goes together: element, single weights; N:M such as 2:4, of every M neighbouring "
        "input channels N stay; a tile of outputs x inputs such as 1x4, 4x1, 16x1.",
    )
    skip_indivisible: bool = flag(
        False, "Leave layers whole that ws_granularity does not divide, instead of refusing them."
    )
    skip_frst_layer: bool = flag(
        True,
        "Leave the first layer whole where it is a convolution: few weights, all of the image.",
    )
    skip_last_layer: bool = flag(False, "Leave the last layer whole.")
    skip_op_names: str | None = flag(
        None, "Layers whose name contains one of these comma-separated parts are left whole."
    )
    schedule: str | None = flag(
        None,
        "When weights go. poly: more and more from ws_iter_ratio_beg to ws_iter_ratio_end. step: "
        "in stairs of ws_frequency steps. once: all before training. Without it poly, for "
        "ws_criterion=obs once.",
        choices=("poly", "step", "once"),
    )
    prune_ratio_init: float = flag(
        0.0,
        "Fraction that ws_criterion=obs removes before a schedule of poly or step goes on by "
        "magnitude.",
        lower=0.0,
        upper=1.0,
        upper_open=True,
        only_with=("ws_criterion", OBS),
    )
    prune_ratio_exp: float = flag(
        3.0,
        "Exponent of the schedule: the larger, the earlier most weights go.",
        lower=0.0,
        lower_open=True,
    )
    iter_ratio_beg: float = flag(
        0.1, "Where in the training the first weights go, poly.", lower=0.0, upper=1.0
    )
    iter_ratio_end: float = flag(
        0.5, "Where in the training the last weights go, poly.", lower=0.0, upper=1.0
    )
    mask_update_step: float = flag(
        500.0, "Steps between two decisions which weights go, poly.", unit="steps", lower=1.0
    )
    pretrain_step: int = flag(
        0, "Steps of training before any weight goes.", unit="steps", lower=0, only_with=_STEP
    )
    sparse_step: int = flag(
        1000,
        "Steps, after these, in which weights go.",
        unit="steps",
        lower=1,
        only_with=_STEP,
    )
    frequency: int = flag(
        100,
        "Weights go every so many of these steps.",
        unit="steps",
        lower=1,
        only_with=_STEP,
    )
    nb_smpls: int = flag(
        5000,
        "Training images for ws_criterion=obs, gradients, and the search.",
        lower=1,
        upper=1_000_000,
    )
    nb_crops_per_smpl: int = flag(
        16, "Random output positions taken from each image and layer.", lower=1, upper=1_000
    )
    lrn_rate_rg: float = flag(
        3e-2, "Rate of the layer-wise regression in a roll-out.", lower=0.0, inert=f"{_TABLES}."
    )
    nb_iters_rg: int = flag(
        20, "Its steps.", lower=0, inert=f"{_TABLES}; least squares needs no steps."
    )
    lrn_rate_ft: float = flag(
        3e-4, "Rate of the tuning in a roll-out.", lower=0.0, inert=f"{_TABLES}."
    )
    nb_iters_ft: int = flag(400, "Its steps.", lower=0, inert=f"{_TABLES}.")
    nb_iters_feval: int = flag(
        25,
        "Batches that a roll-out is scored on.",
        lower=1,
        inert="roll-outs are scored on ws_nb_smpls_search held-out training images.",
    )
    searching: SparseSearchConfig = group(SparseSearchConfig)

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        _ = self.grain
        if self.schedule_kind == "poly" and self.iter_ratio_beg >= self.iter_ratio_end:
            raise InputError(
                "`ws_iter_ratio_beg` must be below `ws_iter_ratio_end`: the schedule would end "
                f"before it begins. Received: {self.iter_ratio_beg:g} and {self.iter_ratio_end:g}."
            )
        if self.frequency > self.sparse_step:
            raise InputError(
                "`ws_frequency` must not exceed `ws_sparse_step`: no weight would ever go. "
                f"Received: {self.frequency} and {self.sparse_step}."
            )
        self._check_criterion()
        usual = (type(self).prune_ratio, self.grain.ratio)  # the default is no word of the user's
        if self.grain.is_pattern and not any(abs(self.prune_ratio - each) < 1e-3 for each in usual):
            raise InputError(
                f"`ws_granularity` {self.granularity} removes {self.grain.ratio:g} of the weights, "
                f"and `ws_prune_ratio` is {self.prune_ratio:g}. Leave one out."
            )
        if self.prune_dict and self.grain.is_pattern:
            raise InputError(
                f"`ws_prune_dict` and `ws_granularity` {self.granularity} contradict each other: "
                "N:M says alone how much stays. Leave one out; layers are left whole by "
                "--ws_skip_op_names."
            )
        if self.ranking == "global" and (self.prune_dict or self.grain.is_pattern):
            said = "`ws_prune_dict`" if self.prune_dict else f"`ws_granularity` {self.granularity}"
            raise InputError(
                f"`ws_ranking` global and {said} contradict each other: the one ranks all layers "
                "together, the other says how much of each stays. Leave one out."
            )

    def _check_criterion(self) -> None:
        if self.criterion != OBS:
            return
        if self.ranking == "global":
            raise InputError(
                "`ws_ranking` global compares scores of all layers, `ws_criterion` obs has errors "
                f"of each. Give --{_PROTOCOL}=optimal, or another criterion."
            )
        gradual = self.schedule in ("poly", "step")
        if self.prune_ratio_init and self.grain.is_pattern:
            raise InputError(
                f"`ws_prune_ratio_init` has no effect with `ws_granularity` {self.granularity}: in "
                "closed form a pattern is there at once. Leave both that and --ws_schedule out."
            )
        if gradual and not self.prune_ratio_init:
            raise InputError(
                f"`ws_schedule` {self.schedule} with `ws_criterion` obs goes on from what went in "
                "closed form, and nothing says how much that is. Give --ws_prune_ratio_init=0.5, "
                "or --ws_schedule=once."
            )
        if self.prune_ratio_init and not gradual:
            raise InputError(
                "`ws_prune_ratio_init` has no effect where all weights go before training. Give "
                "--ws_schedule=poly, or leave it out."
            )

    @functools.cached_property
    def grain(self) -> Granularity:
        """What goes together.

        Raises:
            InputError: if `granularity` cannot be read.
        """
        try:
            return parse_granularity(self.granularity)
        except ValueError as error:
            raise InputError(f"`ws_granularity` {error} Received: {self.granularity!r}.") from error

    @property
    def schedule_kind(self) -> str:
        """`poly`, `step` or `once`."""
        return self.schedule or ("once" if self.criterion == OBS else "poly")

    @property
    def search_flag(self) -> str:
        """The option that searches."""
        return f"--{_PROTOCOL}=optimal"

    def idle(self) -> dict[str, str]:
        """See `LearnerConfig`."""
        found, kind = super().idle(), self.schedule_kind
        if kind != "poly":
            why = f"the schedule is {kind}; --ws_schedule=poly has it."
            poly = ("ws_mask_update_step", "ws_iter_ratio_beg", "ws_iter_ratio_end")
            found |= dict.fromkeys(poly, why)
        if kind == "once":
            found["ws_prune_ratio_exp"] = "all weights go at once."
        if not self._protocol_rules():
            found[_PROTOCOL] = "another flag says how much of each layer stays."
        if self.grain.is_pattern:
            found["ws_prune_ratio"] = f"{self.granularity} of ws_granularity says it."
        if self.granularity == "element":
            found["ws_skip_indivisible"] = "single weights fit into every layer."
        return found

    def wants_search(self) -> bool:
        """Whether an agent is asked to choose for each layer."""
        return self._protocol_rules() and self.prune_ratio_prtl == "optimal"

    def wants_sensitivity(self) -> bool:
        """Whether shares follow from what errors do to the outputs."""
        return self._protocol_rules() and self.prune_ratio_prtl == SENSITIVITY

    def _protocol_rules(self) -> bool:
        """Whether nothing else says how layers share the weights."""
        return not (self.prune_dict or self.grain.is_pattern or self.ranking == "global")

    def own_budget(self) -> str | None:
        """That of the search; the learner counts it in weights that are up for pruning."""
        return f"nonzeros:{1.0 - self.prune_ratio!r}" if self.wants_search() else None

    def choice(self) -> Choice | None:
        """Say what settles each layer's share already."""
        if self.prune_dict:
            return Choice("ws_prune_dict", "a prune dict")
        if self.grain.is_pattern:
            return Choice(f"ws_granularity={self.granularity}", "N:M")
        return None

    def ratios(self) -> PruneDict | None:
        """Read the prune dict, None without one."""
        return read_prune_dict(self.prune_dict, "ws_prune_dict") if self.prune_dict else None

    def check_files(self) -> None:
        """Refuse a prune dict that cannot be read, or has entries that are no ratios."""
        self.ratios()

    def check_run(self, run: "RunConfig", *, counts_given: bool, num_epochs: float | None) -> None:
        """Refuse a schedule in a run that does not train, and one with nothing left to remove."""
        if num_epochs == 0 and self.schedule in ("poly", "step"):
            raise InputError(
                f"`ws_schedule` {self.schedule} removes weights while the network trains, and "
                "--nb_epochs is 0. Give --ws_schedule=once, or epochs."
            )
        others = run.budget, run.setting, self.prune_dict  # say themselves how much goes
        if not any(others) and self.prune_ratio_init > self.prune_ratio:
            raise InputError(
                "`ws_prune_ratio_init` must not exceed `ws_prune_ratio`: nothing would be left for "
                f"the schedule. Received: {self.prune_ratio_init:g} and {self.prune_ratio:g}."
            )

    def check_steps(self, num_steps: int) -> None:
        """Refuse stairs that lead beyond the training."""
        make_schedule(self, num_steps)
