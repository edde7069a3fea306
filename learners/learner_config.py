"""What the config of every learner has: the pipeline asks these and guesses nothing."""

import dataclasses
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Self

from utils.flags import describe

if TYPE_CHECKING:
    from learners.config import RunConfig
    from learners.search.config import RolloutConfig


class Choice(NamedTuple):
    """A flag by which the choice for each layer is made already, and what that is in words."""

    flag: str
    words: str


class OwnTeacher(NamedTuple):
    """What a learner's own flags or files say of distillation.

    Attributes:
        temperature: that softens both networks' outputs.
        path: the teacher's file; None for the network before the first compression.
        source: what says so, for messages.
    """

    temperature: float
    path: str | None
    source: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class LearnerConfig:
    """Base of the learners' configs; a learner overrides what is different with it.

    Attributes:
        PREFIX: of all its flags.
        STATE_FIELD: the field with the path of the resumable state, whatever its documented name;
            None for `--save_path`.
        ARTEFACT_FIELD: likewise the field with the path of the resulting network; None for
            `--save_path_eval`.
        MULTIPLE_FIELD: the field that says of what the numbers of channels are multiples; learners
            without it do not round them.
        SWITCHES_ON: switches among the flags of every run that are on with this learner, so that
            nobody has to give them beside it.
        IMPLIED: likewise, switches that are on where a flag is given that needs them: the learner
            does what they say anyway.
        searching: flags of its search; None for a learner that has none.
    """

    PREFIX: ClassVar[str] = ""
    STATE_FIELD: ClassVar[str | None] = None
    ARTEFACT_FIELD: ClassVar[str | None] = None
    MULTIPLE_FIELD: ClassVar[str] = "round_to"
    SWITCHES_ON: ClassVar[tuple[str, ...]] = ()
    IMPLIED: ClassVar[tuple[str, ...]] = ()

    if TYPE_CHECKING:

        @property
        def searching(self) -> RolloutConfig | None:
            """Flags of the search; a field of the class in learners that have one."""
    else:
        searching = None  # no property: a field of a subclass could not be set over it

    @property
    def state_path(self) -> str | None:
        """Where the resumable state is kept; None for `--save_path`."""
        return None if self.STATE_FIELD is None else getattr(self, self.STATE_FIELD)

    @property
    def artefact_path(self) -> str | None:
        """Where the resulting network is written; None for `--save_path_eval`."""
        return None if self.ARTEFACT_FIELD is None else getattr(self, self.ARTEFACT_FIELD)

    @property
    def fine_tune_lrn_rate(self) -> float | None:
        """Initial learning rate of fine-tuning; None for `--lrn_rate_ft`."""
        return None

    @property
    def own_epochs(self) -> float | None:
        """Epochs of the stage where --nb_epochs says none; None for the network's own schedule."""
        return None

    @property
    def student_bits(self) -> int:
        """Bits of each weight that the learner leaves; the temperature of distillation follows."""
        return 32

    @property
    def file_weights(self) -> str:
        """Number format of the weights in an int8 file of what the learner leaves."""
        return "int8"

    def wants_search(self) -> bool:
        """Whether an agent is asked to choose for each layer."""
        return self.searching is not None and self.searching.search

    @property
    def search_flag(self) -> str:
        """How its search is switched on, for messages."""
        return f"--{self.PREFIX}search"

    def idle(self) -> dict[str, str]:
        """Say which flags have no effect beside the others, and why: flag -> end of a sentence."""
        if self.searching is None:
            return {}
        if not self.wants_search():
            specs = (each for each in describe(type(self.searching)) if each.path != ("search",))
            why = f"nothing is searched; {self.search_flag} does."
            return {f"{self.PREFIX}{each.name}": why for each in specs}
        if self.searching.reward_policy != "flops":
            why = f"--{self.PREFIX}reward_policy=flops alone looks at it."
            return {f"{self.PREFIX}noise_tolerance": why}
        return {}

    def own_budget(self) -> str | None:
        """Give the budget, written as `--budget`, that its own flags say; None where none does."""
        return None

    def files_for(self, target: str | None) -> tuple[str, ...]:
        """List further kinds of `.tflite` files that the learner is for; written by default.

        Args:
            target: the device; None for any.
        """
        return ()

    def takes_setting(self) -> bool:
        """Whether `--setting` can say what is chosen for each layer."""
        return self.searching is not None

    def in_multiples_of(self, channels: int) -> Self:
        """Keep channels in multiples of the target's where no flag says another multiple.

        Learners without such a flag stay as they are.
        """
        field = next((f for f in dataclasses.fields(self) if f.name == self.MULTIPLE_FIELD), None)
        if field is None or getattr(self, field.name) != field.default:
            return self
        return dataclasses.replace(self, **{field.name: channels})

    def choice(self) -> Choice | None:
        """Say by which flag the choice for each layer is made already; None while it is open."""
        return None

    def own_teacher(self) -> OwnTeacher | None:
        """Say that the stage distils without `--enbl_dst`; None where that alone rules.

        The pipeline loads and checks the teacher; how the loss is mixed is the learner's.
        """
        return None

    def check_files(self) -> None:
        """Look, before TensorFlow is loaded, whether the files are there that the flags name.

        Raises:
            InputError: if one is missing.
        """

    def check_run(self, run: "RunConfig", *, counts_given: bool, num_epochs: float | None) -> None:
        """Look, before TensorFlow is loaded, whether the flags go with those of the run.

        Args:
            run: flags of every run.
            counts_given: a budget or a setting says how much stays.
            num_epochs: of the stage; None for the network's own schedule, whose number of epochs
                is asked about again when the network is there.

        Raises:
            InputError: if they contradict each other.
        """

    def check_steps(self, num_steps: int) -> None:
        """Look, before anything is trained, whether the flags go with the length of the stage.

        Args:
            num_steps: steps of the stage; 0 where it does not train.

        Raises:
            InputError: if something would come after the end.
        """
