"""Flags that every run has, whatever the learner."""

import dataclasses
import math

from learners.search.agents import AGENTS, DEFAULT_AGENT, MULTI_OBJ_AGENT
from rl_agents.ddpg.config import DdpgConfig
from utils.errors import InputError
from utils.export.config import ExportConfig
from utils.flags import flag, group

MAX_EPOCHS = 1_000_000
_TEACHER = ("enbl_dst", "a teacher")

# The temperature by the bits of the student's weights: the fewer, the less it can follow the small
# differences between unlikely classes that a high temperature brings out.
_TEMPERATURES = {3: 1.0, 4: 2.0}
_USUAL_TEMPERATURE = 4.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class DistillationConfig:
    """Distillation with any learner."""

    enbl_dst: bool = flag(
        False, "Train against the outputs of the uncompressed network as well (distillation)."
    )
    teacher_path: str | None = flag(
        None,
        "The teacher instead of the uncompressed network: .keras or .h5, of any architecture; "
        "several, separated by commas, teach by their mean.",
        path=True,
        needs=_TEACHER,
    )
    teacher_weights: str | None = flag(
        None,
        "How much each network of teacher_path counts in the mean, e.g. 2,1; without it all count "
        "the same.",
        needs=("teacher_path", "several teachers"),
    )
    loss_w_dst: float = flag(4.0, "Weight of the distillation loss.", lower=0.0, needs=_TEACHER)
    tempr_dst: float | None = flag(
        None,
        "Temperature that softens both networks' outputs; without it 4, for weights of 4 bits 2, "
        "of 3 and fewer 1.",
        lower=0.0,
        lower_open=True,
        needs=_TEACHER,
    )
    loss_w_hint: float = flag(
        0.0,
        "Weight of the hint loss: how far feature maps inside the network are from the teacher's, "
        "at dst_layers; without that where the same layer has the same shape in both: sums of "
        "branches, ends of resolutions.",
        lower=0.0,
        needs=_TEACHER,
    )
    dst_layers: str | None = flag(
        None,
        "Layers whose features are compared, as student:teacher pairs separated by commas (a name "
        "alone: the same in both). Where the widths differ, a 1 x 1 layer that is trained with the "
        "student and thrown away stands between.",
        needs=("loss_w_hint", "a weight"),
    )
    save_path_dst: str = flag(
        "./models_dst/model.keras",
        "The teacher, .keras or .h5, where teacher_path names none; where no file is, the network "
        "before the first compressing stage teaches.",
        path=True,
        needs=_TEACHER,
    )

    def temperature(self, student_bits: int) -> float:
        """Give the temperature for a student whose weights have so many bits.

        Example:
            >>> [DistillationConfig().temperature(bits) for bits in (32, 8, 4, 3, 2)]
            [4.0, 4.0, 2.0, 1.0, 1.0]
        """
        if self.tempr_dst is not None:
            return self.tempr_dst
        fits = [value for bits, value in _TEMPERATURES.items() if student_bits <= bits]
        return fits[0] if fits else _USUAL_TEMPERATURE

    def check_weights(self) -> None:
        """Refuse a teacher of whom nothing is learned.

        Raises:
            InputError: if both weights are 0.
        """
        if self.enbl_dst and not self.loss_w_dst and not self.loss_w_hint:
            raise InputError(
                "`loss_w_dst` 0 leaves `enbl_dst` nothing to learn from the teacher. Give it a "
                "weight, or --loss_w_hint one, or leave --enbl_dst out."
            )

    def teacher_files(self) -> tuple[str, ...]:
        """List the files of `teacher_path`.

        Raises:
            InputError: for an empty place between commas, or a file that is named twice.
        """
        names = [name.strip() for name in (self.teacher_path or "").split(",")]
        if self.teacher_path is None:
            return ()
        if not all(names):
            raise InputError(
                "`teacher_path` must be files separated by single commas. Received: "
                f"{self.teacher_path!r}."
            )
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise InputError(
                f"`teacher_path` names {twice!r} twice. Received: {self.teacher_path!r}. Name it "
                "once and let it count more with --teacher_weights."
            )
        return tuple(names)

    def shares(self, num_teachers: int) -> tuple[float, ...]:
        """Give the share of each teacher in their mean; they add up to 1.

        Raises:
            InputError: if `teacher_weights` are not as many positive numbers as teachers.

        Example:
            >>> DistillationConfig(teacher_weights="2,6").shares(2)
            (0.25, 0.75)
        """
        if self.teacher_weights is None:
            return (1.0 / num_teachers,) * num_teachers
        try:
            weights = [float(part) for part in self.teacher_weights.split(",")]
        except ValueError:
            weights = []
        positive = all(weight > 0 and math.isfinite(weight) for weight in weights)
        if len(weights) != num_teachers or not positive:
            raise InputError(
                f"`teacher_weights` must be {num_teachers} positive numbers separated by commas, "
                f"one for each file of teacher_path. Received: {self.teacher_weights!r}."
            )
        return tuple(weight / sum(weights) for weight in weights)

    def layer_pairs(self) -> tuple[tuple[str, str], ...]:
        """Read `dst_layers` as pairs (layer of the student, layer of the teacher).

        Raises:
            InputError: if it cannot be read so.

        Example:
            >>> DistillationConfig(dst_layers="conv2:block3_relu, relu1").layer_pairs()
            (('conv2', 'block3_relu'), ('relu1', 'relu1'))
        """
        if self.dst_layers is None:
            return ()
        pairs = []
        for part in self.dst_layers.split(","):
            names = [name.strip() for name in part.split(":")]
            if len(names) > 2 or not all(names):
                raise InputError(
                    "`dst_layers` must be student:teacher pairs of layer names separated by "
                    f"commas, as in conv2:block3_relu. Received: {part.strip()!r} in "
                    f"{self.dst_layers!r}."
                )
            pairs.append((names[0], names[-1]))
        return tuple(pairs)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One run: which learner on which network, where things go, how long."""

    learner: str = flag(
        "full-prec", "The learner, or several in order, separated by commas.", resumable=True
    )
    model_helper: str = flag(
        "convnet_at_digits", "Network and data: a built-in name, or a path to your own .py file."
    )
    exec_mode: str = flag(
        "train",
        "train: run the learner. eval: score the saved model.",
        choices=("train", "eval"),
        resumable=True,
    )
    out_dir: str | None = flag(
        None,
        "One folder for all that the run writes; paths given by flags of their own stay.",
        path=True,
    )
    save_path: str = flag(
        "./models/model.keras",
        "The full-precision network: written by full-prec and distillation, read by others.",
        path=True,
    )
    save_path_eval: str = flag(
        "./models_eval/model.keras",
        "The artefact of full-prec and distillation, its .tflite files and report.",
        path=True,
    )
    pretrained_path: str | None = flag(
        None,
        "Start from these weights: .keras, .h5 or .weights.h5 (of Keras 2 too), or a .npz of named "
        "arrays.",
        path=True,
    )
    nb_epochs: str | None = flag(
        None,
        "Epochs of training, or one number per stage separated by commas (0: none); without it "
        "the network's own schedule times nb_epochs_rat.",
        resumable=True,
    )
    lrn_rate_ft: float = flag(
        0.01, "Initial learning rate of fine-tuning after compression.", lower=0.0, lower_open=True
    )
    optimizer_ft: str = flag(
        "helper",
        "Optimizer of fine-tuning after compression: the helper's own, or muon, whose steps are "
        "orthogonal matrices for convolutions and SGD for the rest.",
        choices=("helper", "muon"),
    )
    budget: str | None = flag(
        None, "What may be kept, e.g. flops:0.5 = half the multiply-adds; the ratio follows."
    )
    agent: str | None = flag(
        None,
        f"Who searches, where a learner's search is on; without it {DEFAULT_AGENT}, for bits dp, "
        f"with multi-obj rewards {MULTI_OBJ_AGENT}.",
        choices=tuple(AGENTS),
        resumable=True,
    )
    search_minutes: float | None = flag(
        None,
        "A search ends after this time.",
        unit="minutes",
        lower=0.0,
        upper=525_600.0,
        lower_open=True,
        resumable=True,
    )
    setting: str | None = flag(
        None,
        "Keep of each layer what this file says: ratios.json, written by a search.",
        path=True,
    )
    seed: int = flag(0, "Every random choice comes from it.", lower=0, upper=2**31 - 1)
    resume: bool = flag(True, "Continue a killed run from its last save.", resumable=True)
    control: bool = flag(
        False,
        "Also train the network before compression for as many steps as the compressed one, "
        "without a teacher, and report what it reaches.",
        resumable=True,
    )
    enbl_warm_start: bool = flag(False, "Call the helper's warm_start(model) before training.")
    log_dir: str = flag("./logs", "TensorBoard summaries.", path=True)
    summ_step: int | None = flag(
        None,
        "Training steps between two points of TensorBoard's curves; without it about 200 points.",
        lower=1,
        resumable=True,
    )
    save_step: int = flag(
        10000, "Training steps between saves, besides epoch ends.", lower=1, resumable=True
    )
    enbl_multi_gpu: bool = flag(False, "Several workers on Horovod.")
    strict: bool = flag(
        False, "Refuse a network with parts that cannot be compressed.", resumable=True
    )
    allow_unsafe: bool = flag(
        False, "Load models that hold Python code (Lambda layers).", resumable=True
    )
    debug: bool = flag(False, "Show the traceback of an error.", resumable=True)
    model_http_url: str | None = flag(
        None, "Address of trained models.", inert="nothing is downloaded; use --pretrained_path."
    )
    ddpg: DdpgConfig = group(DdpgConfig)
    distillation: DistillationConfig = group(DistillationConfig)
    export: ExportConfig = group(ExportConfig, resumable=True)

    def stages(self) -> list[str]:
        """Split `learner` into its stages."""
        return [name.strip() for name in self.learner.split(",")]

    def epochs(self) -> list[float | None]:
        """Give each stage its number of epochs (None: the network's own schedule).

        Raises:
            InputError: when `nb_epochs` is no number, or there are not as many as stages.
        """
        num_stages = len(self.stages())
        if self.nb_epochs is None:
            return [None] * num_stages
        try:
            values = [float(part) for part in self.nb_epochs.split(",")]
        except ValueError:
            values = [math.nan]
        if not all(0 <= value <= MAX_EPOCHS for value in values):
            raise InputError(
                f"`nb_epochs` must be a number >= 0 (at most {MAX_EPOCHS:,}), or one per stage "
                f"separated by commas. Received: {self.nb_epochs!r}."
            )
        if len(values) == 1:
            return [values[0]] * num_stages
        if len(values) != num_stages:
            raise InputError(
                f"`nb_epochs` must be one number or one per stage ({num_stages}). "
                f"Received: {self.nb_epochs!r}."
            )
        return list(values)
