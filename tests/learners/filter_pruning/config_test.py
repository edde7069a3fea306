import contextlib

import pytest

from learners.config import DistillationConfig, RunConfig
from learners.filter_pruning.config import FilterPrunedConfig
from learners.filter_pruning.recipe import Pruner
from pipeline.plan import make_plan
from utils import flags
from utils.errors import InputError

DOCUMENT = """
pruners: {p: {ratio: 0.1}}
prune_schedulers: [{pruner: {func_name: p}, epochs: [0, 3]}]
"""


@pytest.fixture
def document(tmp_path):
    path = tmp_path / "prune.yaml"
    path.write_text(DOCUMENT, encoding="utf-8")
    return path


def test_names_and_defaults():
    values = flags.flag_values(FilterPrunedConfig())
    documented = {
        "fp_config": None,
        "fp_criterion": "l1_norm",
        "fp_prune_ratio": 0.5,
        "fp_prune_type": "auto_prune",
        "fp_layers": None,
    }
    assert {name: values[name] for name in documented} == documented


def test_flags_make_a_recipe_of_one_step():
    (step,) = FilterPrunedConfig(criterion="taylor", prune_ratio=0.3).recipe.steps
    assert step.epoch == 0.0
    assert step.pruners == (Pruner(name="flags", criterion="taylor", ratio=0.3),)
    named = FilterPrunedConfig(prune_type="specified_layer_prune", layers="conv2,fc1:0.7")
    (pruner,) = named.recipe.steps[0].pruners
    assert pruner.layers == {"conv2": 0.5, "fc1": 0.7}
    assert FilterPrunedConfig(skip_op_names=" a, ,b").skipped() == ("a", "b")


@pytest.mark.parametrize("values", [{"layers": "a"}, {"prune_type": "specified_layer_prune"}])
def test_layers_and_type_go_together(values):
    with pytest.raises(
        InputError, match=r"`fp_prune_type` specified_layer_prune and `fp_layers` go"
    ):
        FilterPrunedConfig(**values).check_files()


def test_the_document_is_read_before_anything(document):
    config = FilterPrunedConfig(config=str(document))
    config.check_files()
    assert [step.epoch for step in config.recipe.steps] == [0.0, 3.0]
    document.write_text("pruners: 3\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"`pruners` must be a mapping of pruners\. Received: 3"):
        FilterPrunedConfig(config=str(document)).check_files()


def test_a_teacher_that_is_not_there(document):
    document.write_text(f"{DOCUMENT}distill: {{alpha: 0.5, teacher_path: t.keras}}\n")
    with pytest.raises(
        InputError, match=r"fp_config=.*: `distill`: there is no teacher 't\.keras'"
    ):
        make_plan(
            RunConfig(learner="filter-pruned"),
            [FilterPrunedConfig(config=str(document))],
            starts_from_file=False,
        )


def test_what_the_document_says_of_distillation(document):
    assert FilterPrunedConfig().own_teacher() is None
    assert FilterPrunedConfig(config=str(document)).own_teacher() is None
    document.write_text(f"{DOCUMENT}distill: {{alpha: 0.5, temperature: 3, teacher_path: t.h5}}\n")
    own = FilterPrunedConfig(config=str(document)).own_teacher()
    assert own == (3.0, "t.h5", f"--fp_config={document}: `distill`")


@pytest.mark.parametrize("layers", ["a", "a:0.5", "a,b:0.3"])
def test_ratios_of_layers_beside_a_budget(layers):
    config = FilterPrunedConfig(prune_type="specified_layer_prune", layers=layers)
    check(config)
    if ":" not in layers:
        check(config, counts_given=True)
        return
    with pytest.raises(InputError, match=r"^`fp_layers`: its ratios and --budget or --setting c"):
        check(config, counts_given=True)


@pytest.mark.parametrize("name", ["fp_criterion", "fp_prune_ratio", "fp_prune_type", "fp_layers"])
def test_a_document_beside_flags_that_say_the_same(document, name):
    value = {"fp_prune_ratio": 0.3}.get(name, "l2_norm" if "crit" in name else "auto_prune")
    values = {"fp_config": str(document), name: value}
    with pytest.raises(InputError, match=rf"--fp_config=.*--{name}=.* contradict each other"):
        flags.build_all([FilterPrunedConfig], values)


def check(config, *, counts_given=False, num_epochs=5.0, **run):
    config.check_run(RunConfig(**run), counts_given=counts_given, num_epochs=num_epochs)


def test_a_document_and_the_run(document):
    config = FilterPrunedConfig(config=str(document))
    check(config)
    check(config, num_epochs=None)
    with pytest.raises(InputError, match=r"its ratios and --budget or --setting contradict"):
        check(config, counts_given=True)
    with pytest.raises(InputError, match=r"after epoch 3, and training lasts 3 epochs\. Give a la"):
        check(config, num_epochs=3.0)
    document.write_text(DOCUMENT.replace("ratio: 0.1", ""), encoding="utf-8")
    config = FilterPrunedConfig(config=str(document))
    check(config, counts_given=True)
    with pytest.raises(InputError, match=r"no pruner has a ratio\. Give them one, or --budget=flo"):
        check(config)
    document.write_text(f"{DOCUMENT}distill: {{alpha: 0.5}}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"`distill` and --enbl_dst both give a teacher"):
        check(
            FilterPrunedConfig(config=str(document)), distillation=DistillationConfig(enbl_dst=True)
        )


@pytest.mark.parametrize("layers", [None, "conv2,conv3", "conv2:0.7"])
def test_ratios_of_layers_and_a_budget(layers):
    kind = "auto_prune" if layers is None else "specified_layer_prune"
    config = FilterPrunedConfig(prune_type=kind, layers=layers)
    check(config, num_epochs=0.0)
    assert config.recipe.has_ratios
    with (
        pytest.raises(InputError, match=r"`fp_layers`: its ratios and --budget.*'conv2:0\.7'")
        if layers == "conv2:0.7"
        else contextlib.nullcontext()
    ):
        check(config, counts_given=True, num_epochs=None)


@pytest.mark.parametrize(
    ("values", "idle"),
    [
        ({}, {"fp_nb_smpls", "fp_nb_crops_per_smpl"}),
        ({"criterion": "taylor"}, {"fp_nb_crops_per_smpl"}),
        ({"layers": "a:0.5,b:0.3"}, {"fp_prune_ratio", "fp_residual"}),
        ({"layers": "a:0.5,b"}, {"fp_skip_op_names"}),
    ],
)
def test_flags_without_effect_beside_others(values, idle):
    config = FilterPrunedConfig(**values)
    said = flags.notices({FilterPrunedConfig: config}, {"fp_round_to", *idle})
    assert {sentence.split()[0].removeprefix("--") for sentence in said} == idle
