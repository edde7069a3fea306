import pytest

from learners.filter_pruning.recipe import (
    Distill,
    Pruner,
    Rates,
    parse_layers,
    read_recipe,
)
from utils.errors import InputError

WHOLE = """
version: 1
pruners:
  all:
    criterion: l2_norm
    prune_type: auto_prune
    ratio: 0.1
  some:
    criterion: bn_gamma
    prune_type: specified_layer_prune
    ratio: 0.2
    layers_to_be_pruned: [conv2, conv3]
  own:
    prune_type: specified_layer_prune
    layers_to_be_pruned: {fc1: 3e-1}
prune_schedulers:
  - pruner: {func_name: all}
    epochs: [0]
  - pruner: {func_name: some}
    epochs: [1, 2.5]
  - pruner: {func_name: own}
    epochs: [2.5]
lr_schedulers:
  - {name: warm, class: LearningRateWarmupCallback, warmup_epochs: 1, verbose: 0}
  - {name: high, class: LearningRateScheduleCallback, start_epoch: 1, end_epoch: 3, multiplier: 1.0}
  - {start_epoch: 3, multiplier: 1e-1}
distill:
  alpha: 0.4
  temperature: 2
  student_name: resnet_50
"""


def test_what_auto_prune_may_leave_alone_is_not_added_up(tmp_path):
    """A residual stream is named, and `auto_prune` keeps to what lies inside."""
    text = changed("ratio: 0.1", "ratio: 0.6")
    assert read_recipe(written(tmp_path, text)).steps[0].pruners[0].ratio == 0.6


def written(tmp_path, text):
    path = tmp_path / "prune.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_whole_document(tmp_path):
    recipe = read_recipe(written(tmp_path, WHOLE))
    everything = Pruner(name="all", criterion="l2_norm", ratio=0.1)
    some = Pruner(name="some", criterion="bn_gamma", ratio=0.2, layers={"conv2": 0.2, "conv3": 0.2})
    own = Pruner(name="own", criterion="l1_norm", ratio=None, layers={"fc1": 0.3})
    assert [(step.epoch, step.pruners) for step in recipe.steps] == [
        (0.0, (everything,)),
        (1.0, (some,)),
        (2.5, (some, own)),
    ]
    assert recipe.rates == Rates(1.0, ((1.0, 1.0), (3.0, 0.1)))
    assert recipe.distill == Distill(0.4, 2.0)
    assert recipe.has_ratios
    assert recipe.notes == (
        "fp_config: `distill.student_name` has no effect: the student is the network at hand, a "
        "teacher is a network file.",
    )


def test_the_least_document(tmp_path):
    text = "pruners: {p: {}}\nprune_schedulers: [{pruner: {func_name: p}, epochs: [0]}]\n"
    recipe = read_recipe(written(tmp_path, text))
    assert recipe.steps[0].pruners == (Pruner(name="p", criterion="l1_norm", ratio=None),)
    assert (recipe.rates, recipe.distill, recipe.has_ratios) == (None, None, False)


def changed(old, new):
    assert old in WHOLE
    return WHOLE.replace(old, new, 1)


SCHEDULES = WHOLE[WHOLE.index("prune_schedulers") : WHOLE.index("lr_schedulers")]
WRONG = {
    "a list": ("- a\n", r"must be a mapping of version, pruners.*Received: \['a'\]"),
    "empty": ("", r"must be a mapping of version, pruners.*Received: None"),
    "unknown key": (
        changed("pruners:", "pruner:"),
        r"unknown key 'pruner'\. Did you mean 'pruners'",
    ),
    "version": (changed("version: 1", "version: 2"), r"`version` must be 1\. Received: 2\.$"),
    "no pruners": (changed(WHOLE[: WHOLE.index("prune_s")], "\n"), r"`pruners` must be a mapping"),
    "key of a pruner": (
        changed("criterion: l2", "criterium: l2"),
        r"`pruners\.all` unknown key 'criterium'\. Did you mean 'criterion'\?",
    ),
    "criterion": (
        changed("l2_norm", "l2norm"),
        r"`pruners\.all\.criterion` is 'l2norm'\. Did you mean 'l2_norm'\? Valid: bn_gamma, geo",
    ),
    "type": (
        changed("prune_type: auto_prune", "prune_type: auto"),
        r"`pruners\.all\.prune_type` is 'auto'\..*auto_prune",
    ),
    "ratio of all": (
        changed("ratio: 0.1", "ratio: 1.0"),
        r"`pruners\.all\.ratio` must be in \(0, 1\): 1 would empty the layer\. Received: 1\.0\.$",
    ),
    "ratio of none": (
        changed("ratio: 0.1", "ratio: 0"),
        r"`pruners\.all\.ratio` must be in \(0, 1",
    ),
    "ratio as a word": (
        changed("ratio: 0.1", "ratio: half"),
        r"`pruners\.all\.ratio` must be a number in \[0, inf\)\. Received: 'half'\.$",
    ),
    "ratio of a layer": (
        changed("fc1: 3e-1", "fc1: 1.5"),
        r"`pruners\.own\.layers_to_be_pruned\.fc1` must be in \(0, 1\)",
    ),
    "layers with auto": (
        changed("ratio: 0.1", "layers_to_be_pruned: [a]"),
        r"`pruners\.all\.layers_to_be_pruned` needs `prune_type: specified_layer_prune`\.$",
    ),
    "no layers": (
        changed("    layers_to_be_pruned: {fc1: 3e-1}\n", ""),
        r"`pruners\.own\.layers_to_be_pruned` must be a list\. Received: None\.$",
    ),
    "layers that are no names": (
        changed("[conv2, conv3]", "[conv2, 3]"),
        r"`pruners\.some\.layers_to_be_pruned` must be names of layers.*Received: 3\.$",
    ),
    "a layer twice": (
        changed("[conv2, conv3]", "[conv2, conv2]"),
        r"must be names of layers, each once.*Received: 'conv2'\.$",
    ),
    "no schedule": (changed(SCHEDULES, ""), r"`prune_schedulers` must be a list\. Received: None"),
    "unknown pruner": (
        changed("func_name: own", "func_name: onw"),
        r"`prune_schedulers\[2\]\.pruner\.func_name` is 'onw'\. Did you mean 'own'\?",
    ),
    "pruner as a name": (
        changed("pruner: {func_name: own}", "pruner: own"),
        r"`prune_schedulers\[2\]\.pruner` must be a mapping of func_name\. Received: 'own'\.$",
    ),
    "unused pruner": (
        changed("  - pruner: {func_name: own}\n    epochs: [2.5]\n", ""),
        r"`pruners\.own` is in no entry of `prune_schedulers`\.$",
    ),
    "epochs as a number": (changed("epochs: [0]", "epochs: 0"), r"\.epochs` must be a list\. Rec"),
    "negative epoch": (
        changed("epochs: [0]", "epochs: [-1]"),
        r"must be in \[0, inf\)\. Received: -",
    ),
    "epochs that fall": (
        changed("[1, 2.5]", "[2.5, 1]"),
        r"\[1\]\.epochs` must rise\. Received: \[2",
    ),
    "stages out of order": (
        changed("epochs: [2.5]", "epochs: [0.5]"),
        r"`prune_schedulers` must be in the order of their epochs.*Received: 0, 1, 2\.5, 0\.5\.$",
    ),
    "ratios that add up": (
        changed("ratio: 0.2", "ratio: 0.5"),
        r"conv2 would lose all filters: .*`pruners\.some` they add up to 1\. Let them stay below 1",
    ),
    "some ratios": (
        changed("    ratio: 0.1\n", ""),
        r"`pruners\.all` has no ratio and others have\.",
    ),
    "rates that overlap": (
        changed("start_epoch: 3", "start_epoch: 2"),
        r"`lr_schedulers\[2\]\.start_epoch` must be at least 3, .*Received: 2\.$",
    ),
    "rates in the warm-up": (
        changed("start_epoch: 1", "start_epoch: 0"),
        r"`lr_schedulers\[1\]\.start_epoch` must be at least 1, .*Received: 0\.$",
    ),
    "a stage of no length": (
        changed("end_epoch: 3", "end_epoch: 1"),
        r"`lr_schedulers\[1\]\.end_epoch` must be larger than `start_epoch` \(1\)\. Received: 1\.$",
    ),
    "no multiplier": (
        changed(", multiplier: 1e-1", ""),
        r"`lr_schedulers\[2\]\.multiplier` must be a number in .*Received: None\.$",
    ),
    "warm-up with a stage": (
        changed("warmup_epochs: 1,", "warmup_epochs: 1, multiplier: 1,"),
        r"`lr_schedulers\[0\]\.multiplier` does not belong in an entry with `warmup_epochs`\.$",
    ),
    "a second warm-up": (
        changed("{start_epoch: 3, multiplier: 1e-1}", "{warmup_epochs: 2}"),
        r"`lr_schedulers\[2\]\.warmup_epochs` must stand in the first entry, once\.$",
    ),
    "alpha": (
        changed("alpha: 0.4", "alpha: 4"),
        r"`distill\.alpha` is the labels' share and must be in \[0, 1\): 1 would .*Received: 4",
    ),
    "no teacher left": (
        changed("alpha: 0.4", "alpha: 1"),
        r"`distill\.alpha` is the labels' share and .* leave the teacher out\. Received: 1",
    ),
    "no alpha": (
        changed("  alpha: 0.4\n", ""),
        r"`distill\.alpha` must be a number.*Received: None",
    ),
    "temperature": (
        changed("temperature: 2", "temperature: 0"),
        r"`distill\.temperature` must be larger than 0\. Received: 0\.$",
    ),
    "several teachers": (
        changed("temperature: 2", "teacher_path: 'a.h5,b.h5'"),
        r"`distill\.teacher_path` takes one file\. Received: 'a\.h5,b\.h5'\.$",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_one_clear_line_for_whatever_is_wrong(tmp_path, case):
    text, message = WRONG[case]
    path = written(tmp_path, text)
    with pytest.raises(InputError, match=message) as caught:
        read_recipe(path)
    assert str(caught.value).startswith(f"--fp_config={path}: ")
    assert "\n" not in str(caught.value)


def test_layers_of_the_flag():
    assert parse_layers("conv2 , fc1: 0.7,x", 0.5, "s") == {"conv2": 0.5, "fc1": 0.7, "x": 0.5}
    assert parse_layers("a", None, "s") == {"a": None}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,,b", r"^s must be layers separated by commas, each once.*Received: 'a,,b'\."),
        ("a,a", r"^s must be layers separated by commas, each once"),
        ("a:1", r"^s: a must have a ratio in \(0, 1\)\. Received: '1'\."),
        ("a:x", r"^s: a must have a ratio in \(0, 1\)\. Received: 'x'\."),
    ],
)
def test_layers_that_cannot_be(text, message):
    with pytest.raises(InputError, match=message):
        parse_layers(text, 0.5, "s")
