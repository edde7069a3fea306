import dataclasses
from typing import ClassVar

import pytest

import learners
from learners.config import RunConfig
from learners.learner_config import Choice, LearnerConfig
from learners.search.config import RolloutConfig
from utils import flags
from utils.flags import flag, group


@dataclasses.dataclass(frozen=True, kw_only=True)
class Documented(LearnerConfig):
    """Path flags as the documents call them, a rate of its own, a search."""

    PREFIX: ClassVar[str] = "uql_"
    STATE_FIELD: ClassVar[str | None] = "tune_save_path"
    ARTEFACT_FIELD: ClassVar[str | None] = "save_quant_model_path"
    tune_save_path: str = flag("./rl_tune_models/model.keras", "State.", path=True)
    save_quant_model_path: str = flag("./uql_quant_models/model.keras", "Artefact.", path=True)
    lrn_rate_ft: float = flag(1e-4, "Rate.", lower=0.0)
    searching: RolloutConfig = group(RolloutConfig)

    @property
    def fine_tune_lrn_rate(self) -> float | None:
        """The rate of its own."""
        return self.lrn_rate_ft


def test_what_a_learner_with_nothing_of_its_own_has():
    config = LearnerConfig()
    assert (config.state_path, config.artefact_path) == (None, None)
    assert (config.searching, config.wants_search(), config.takes_setting()) == (None, False, False)
    assert (config.fine_tune_lrn_rate, config.choice(), config.check_files()) == (None, None, None)
    config.check_run(RunConfig(), counts_given=True, num_epochs=None)  # nothing to refuse
    assert (config.student_bits, config.SWITCHES_ON) == (32, ())
    assert config.own_budget() is None
    assert flags.describe(LearnerConfig) == ()


def test_documented_path_flags_of_any_name():
    config = flags.build(Documented, {"uql_tune_save_path": "t.keras"})
    assert config.state_path == "t.keras"
    assert config.artefact_path == "./uql_quant_models/model.keras"
    assert config.fine_tune_lrn_rate == 1e-4


@pytest.mark.parametrize("wanted", [True, False])
def test_a_search_is_a_field_of_the_class(wanted):
    config = flags.build(Documented, {"uql_search": wanted})
    assert config.wants_search() is wanted
    assert config.search_flag == "--uql_search"
    assert config.takes_setting()


@pytest.mark.parametrize("name", learners.LEARNERS)
def test_every_learners_config_has_it(name):
    config_class = learners.config_class(name)
    assert issubclass(config_class, LearnerConfig)
    paths = [config_class.STATE_FIELD, config_class.ARTEFACT_FIELD]
    specs = {spec.path: spec for spec in flags.describe(config_class)}
    assert all(specs[(field,)].info.path for field in paths if field is not None)
    entry = learners.LEARNERS[name]
    assert config_class().takes_setting() == (entry.quantity is not None)


def test_a_choice_that_is_made():
    config = learners.config_class("chn-pruned-rmt")
    assert config().choice() is None
    assert config(warm_start=True).choice() == Choice("cpr_warm_start", "a warm start")
    config = learners.config_class("channel")
    assert config().choice() is None
    assert config(prune_option="list").choice() == Choice("cp_prune_option=list", "a list")


def test_learners_are_for_no_file_of_their_own_unless_they_say_so():
    assert LearnerConfig().files_for("tflm") == ()
