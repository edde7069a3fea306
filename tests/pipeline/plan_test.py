"""What a run will do and where; every refusal also stands in `tests/bad_input_test.py`."""

import dataclasses
import os
import pathlib
from typing import ClassVar

import pytest

import learners
from learners.budget import parse_budget
from learners.channel_pruning_rmt.config import ChannelPrunedRmtConfig
from learners.config import DistillationConfig, RunConfig
from learners.full_precision.config import FullPrecConfig
from learners.learner_config import LearnerConfig, OwnTeacher
from learners.setting import Setting
from pipeline.plan import check_saved, make_plan
from tests.learners import runs
from utils.errors import InputError
from utils.export.config import ConvertConfig, ExportConfig
from utils.flags import flag


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plan_of(starts_from_file=False, configs=None, **run):
    config = RunConfig(**run)
    stage_configs = configs or [learners.config_class(name)() for name in config.stages()]
    return make_plan(config, stage_configs, starts_from_file=starts_from_file)


def paths(plan):
    return [(str(stage.state_path), str(stage.artefact_path)) for stage in plan.stages]


def test_one_folder_for_everything():
    plan = plan_of(learner="full-prec,channel-pruned-rmt", out_dir="out")
    assert paths(plan) == [
        ("out/state/1_full_prec.keras", "out/model_1_full_prec.keras"),
        ("out/state/2_chn_pruned_rmt.keras", "out/model.keras"),
    ]
    assert [stage.learner for stage in plan.stages] == ["full-prec", "chn-pruned-rmt"]
    assert plan.folder == pathlib.Path("out")
    assert plan.log_dir == pathlib.Path("out/logs")
    assert (plan.budget, plan.initial_path, plan.teacher_paths) == (None, None, ())
    assert list(pathlib.Path().iterdir()) == []  # nothing is made yet


def test_documented_paths_without_one():
    plan = plan_of(learner="full-prec,chn-pruned-rmt")
    assert paths(plan) == [
        ("models/model.keras", "models_eval/model.keras"),
        ("models_cpr/model.keras", "models_cpr_eval/model.keras"),
    ]
    assert plan.log_dir == pathlib.Path("logs")


def test_a_path_that_was_given_stays():
    config = learners.config_class("chn-pruned-rmt")(save_path_eval="here/small.keras")
    plan = plan_of(learner="chn-pruned-rmt", out_dir="out", log_dir="tb", configs=[config])
    assert paths(plan) == [("out/state/1_chn_pruned_rmt.keras", "here/small.keras")]
    assert plan.folder == pathlib.Path("here")
    assert plan.log_dir == pathlib.Path("tb")


def test_checkpoints_become_keras_files():
    plan = plan_of(save_path="models/net.ckpt")
    assert paths(plan)[0][0] == "models/net.keras"
    assert plan.notices == (
        "models/net.ckpt: networks are kept as .keras files here, using models/net.keras.",
    )


def test_epochs_and_budget():
    plan = plan_of(learner="full-prec,chn-pruned-rmt", nb_epochs="2,0.5", budget="flops:0.5")
    assert [stage.num_epochs for stage in plan.stages] == [2.0, 0.5]
    assert plan.budget.limits[0].share == 0.5


def test_where_a_run_begins(folder):
    (folder / "models").mkdir()
    (folder / "models" / "model.keras").write_bytes(b"")
    (folder / "w.npz").write_bytes(b"")
    start = pathlib.Path("models/model.keras")
    assert plan_of(True).initial_path is None
    assert plan_of(True, learner="chn-pruned-rmt").initial_path == start
    assert plan_of(True, learner="full-prec,chn-pruned-rmt").initial_path is None
    assert plan_of(True, pretrained_path="w.npz").initial_path == pathlib.Path("w.npz")
    assert plan_of(True, learner="chn-pruned-rmt", exec_mode="eval").initial_path is None


def test_teacher(folder):
    def teacher(**distillation):
        return plan_of(
            learner="chn-pruned-rmt", distillation=DistillationConfig(**distillation)
        ).teacher_paths

    (folder / "t.keras").write_bytes(b"")
    assert teacher(save_path_dst="t.keras") == ()  # no distillation
    assert teacher(enbl_dst=True) == ()  # the network before compression
    assert teacher(enbl_dst=True, save_path_dst="t.keras") == (pathlib.Path("t.keras"),)
    with pytest.raises(InputError, match=r"`save_path_dst`: there is no teacher 'u.keras'. Leave"):
        teacher(enbl_dst=True, save_path_dst="u.keras")


def test_several_teachers(folder):
    for name in ("a.keras", "b.h5"):
        (folder / name).write_bytes(b"")
    distillation = DistillationConfig(enbl_dst=True, teacher_path="a.keras, b.h5")
    plan = plan_of(True, distillation=distillation)
    assert plan.teacher_paths == (pathlib.Path("a.keras"), pathlib.Path("b.h5"))
    assert not plan.learns_from_before(0)
    usual = folder / "models_dst" / "model.keras"
    assert plan.notices == ()
    usual.parent.mkdir()
    usual.write_bytes(b"")
    assert plan_of(True, distillation=distillation).notices == (
        "--teacher_path teaches; the network at ./models_dst/model.keras has no part in it",
    )


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"teacher_path": "t.keras,gone.keras"}, r"`teacher_path`: there is no file 'gone.keras'"),
        ({"teacher_path": "t.keras,"}, r"files separated by single commas. Received: 't.keras,'"),
        ({"teacher_path": "t.keras,t.keras"}, r"`teacher_path` names 't.keras' twice"),
        ({"teacher_path": "t.pt"}, r"must end in .keras. Received: 't.pt'"),
        (
            {"teacher_path": "t.keras", "save_path_dst": "t.keras"},
            r"--teacher_path=t.keras and --save_path_dst=t.keras both name the teacher. Leave one",
        ),
        (
            {"teacher_path": "t.keras", "teacher_weights": "1,2"},
            r"`teacher_weights` must be 1 positive numbers .* Received: '1,2'",
        ),
        (
            {"teacher_path": "t.keras", "dst_layers": "a:b:c"},
            r"student:teacher pairs of layer names .* Received: 'a:b:c'",
        ),
    ],
)
def test_teachers_that_cannot_be(flags, message, folder):
    (folder / "t.keras").write_bytes(b"")
    with pytest.raises(InputError, match=message):
        plan_of(True, distillation=DistillationConfig(enbl_dst=True, **flags))


class Teaching(ChannelPrunedRmtConfig):
    """Says by itself who teaches."""

    path = "t.keras"

    def own_teacher(self):
        return OwnTeacher(3.0, self.path, "`own`")


def test_a_stage_with_a_teacher_of_its_own(folder):
    (folder / "t.keras").write_bytes(b"")
    configs = [FullPrecConfig(), Teaching()]
    plan = plan_of(learner="full-prec,chn-pruned-rmt", configs=configs)
    assert [plan.is_taught(index) for index in (0, 1)] == [False, True]
    assert plan.teacher_paths == (pathlib.Path("t.keras"),)
    assert plan.teacher_source == "`own`"
    assert not plan.learns_from_before(1)
    with pytest.raises(InputError, match=r"would write over t.keras: the run starts from it"):
        plan_of(True, learner="full-prec,chn-pruned-rmt", configs=configs, save_path="t.keras")


def test_a_stage_that_learns_from_the_network_before(folder):
    config = Teaching()
    object.__setattr__(config, "path", None)
    plan = plan_of(learner="full-prec,chn-pruned-rmt", configs=[FullPrecConfig(), config])
    assert plan.teacher_paths == ()
    assert [plan.learns_from_before(index) for index in (0, 1)] == [False, True]
    message = r"The stages of a run learn from one teacher. Received: `own`: t.keras; `own`: the ne"
    with pytest.raises(InputError, match=message):
        plan_of(learner="chn-pruned-rmt,chn-pruned-rmt", configs=[Teaching(), config])
    object.__setattr__(config, "path", "gone.keras")
    with pytest.raises(InputError, match=r"`own`: there is no teacher 'gone.keras'. Leave it out"):
        plan_of(learner="chn-pruned-rmt", configs=[config])


def test_a_learner_of_distillation_needs_a_teacher_of_its_own(folder):
    with pytest.raises(InputError, match=r"distillation learns from a teacher.*--teacher_path=tea"):
        plan_of(True, learner="distillation", distillation=DistillationConfig(enbl_dst=True))
    with pytest.raises(InputError, match=r"`enbl_dst` is part of the learner distillation"):
        plan_of(True, learner="distillation")


def test_no_stage_writes_over_what_the_run_starts_from(folder):
    (folder / "models").mkdir()
    (folder / "models" / "model.keras").write_bytes(b"")
    with pytest.raises(InputError, match=r"would write over models/model.keras: the run starts"):
        plan_of(True, learner="chn-pruned-rmt,full-prec")
    assert plan_of(True, learner="chn-pruned-rmt").initial_path is not None


def test_a_command_goes_on_from_the_one_before_in_the_same_folder(folder):
    trained = folder / "x" / "state" / "1_full_prec.keras"
    trained.parent.mkdir(parents=True)
    trained.write_bytes(b"")
    plan = plan_of(True, learner="chn-pruned-rmt", out_dir="x")
    assert plan.initial_path == pathlib.Path("x/state/1_full_prec.keras")
    with pytest.raises(InputError, match=r"none at y/state/1_full_prec.keras or y/state/1_di"):
        plan_of(True, learner="chn-pruned-rmt", out_dir="y")


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ({"learner": "chn-pruned-rmt"}, r"starts from a trained network: none at models/model.k"),
        ({"save_path": "net.h5"}, r"path must end in .keras. Received: 'net.h5'"),
        ({"out_dir": "file/x"}, r"cannot write 'file/x/state/1_full_prec.keras': .*file is a file"),
        ({"log_dir": "file/x"}, r"cannot write 'file/x/events'"),
        ({"pretrained_path": "x.keras"}, r"`pretrained_path`: there is no file 'x.keras'"),
        (
            {"pretrained_path": "x.pt"},
            r"`pretrained_path` must end in .keras, .h5, .hdf5, .fpq, .npz",
        ),
        (
            {"distillation": DistillationConfig(enbl_dst=True)},
            r"`enbl_dst` has no teacher here: without a learner that compresses",
        ),
        (
            {
                "learner": "full-prec,chn-pruned-rmt",
                "distillation": DistillationConfig(enbl_dst=True, loss_w_dst=0.0),
            },
            r"`loss_w_dst` 0 leaves `enbl_dst` nothing to learn from the teacher",
        ),
        (
            {"learner": "full-prec,full-prec"},
            r"The stage full-prec would write over models/model.keras: another file of the run",
        ),
        ({"budget": "flops:0.5"}, r"`budget` has no effect on full-prec, which no budget rules"),
    ],
)
def test_refusals(run, message, folder):
    (folder / "file").write_text("")
    with pytest.raises(InputError, match=message):
        plan_of(True, **run)


def test_teachers_of_keras_2(folder):
    (folder / "old.h5").write_bytes(b"")
    distillation = DistillationConfig(enbl_dst=True, save_path_dst="old.h5")
    assert plan_of(True, distillation=distillation).teacher_paths == (pathlib.Path("old.h5"),)
    distillation = DistillationConfig(enbl_dst=True, save_path_dst="gone.hdf5")
    with pytest.raises(InputError, match=r"`save_path_dst`: there is no teacher 'gone.hdf5'"):
        plan_of(True, distillation=distillation)


def test_scoring_needs_no_place_to_write(folder):
    (folder / "file").write_text("")
    assert plan_of(True, exec_mode="eval", out_dir="file/x").run.exec_mode == "eval"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Documented(LearnerConfig):
    """Paths as the documents of another learner call them."""

    PREFIX: ClassVar[str] = "uql_"
    STATE_FIELD: ClassVar[str | None] = "tune_save_path"
    ARTEFACT_FIELD: ClassVar[str | None] = "save_quant_model_path"
    tune_save_path: str = flag("./rl_tune_models/model.keras", "State.", path=True)
    save_quant_model_path: str = flag("./uql_quant_models/model.keras", "Artefact.", path=True)


@pytest.fixture
def uniform(monkeypatch, folder):
    """A row of a learner with such paths that starts from a trained network."""
    entry = dataclasses.replace(
        learners.LEARNERS["chn-pruned-rmt"], quantity="bits", budgets=("bytes",)
    )
    monkeypatch.setitem(learners.LEARNERS, "uniform", entry)
    (folder / "models").mkdir()
    (folder / "models" / "model.keras").write_bytes(b"")


def test_documented_paths_of_any_name_need_no_out_dir(uniform):
    plan = plan_of(True, learner="uniform", configs=[Documented()])
    assert plan.initial_path == pathlib.Path("models/model.keras")
    state, artefact = "rl_tune_models/model.keras", "uql_quant_models/model.keras"
    assert paths(plan) == [(state, artefact)]
    given = Documented(save_quant_model_path="mine/q.keras")
    plan = plan_of(True, learner="uniform", out_dir="out", configs=[given])
    assert paths(plan) == [("out/state/1_uniform.keras", "mine/q.keras")]


def test_the_marks_of_a_run(uniform):
    def marks(learner, *configs):
        plan = plan_of(learner=learner, out_dir="o", configs=list(configs) or None)
        return plan.before_stage, plan.compresses

    assert marks("full-prec") == (0, False)
    assert marks("full-prec,full-prec") == (1, False)
    assert marks("full-prec,chn-pruned-rmt,full-prec") == (1, True)
    assert marks("uniform", Documented()) == (0, True)


def test_a_budget_is_shared_out_by_kind(uniform):
    full, channels = (learners.config_class(n)() for n in ("full-prec", "chn-pruned-rmt"))
    plan = plan_of(
        learner="full-prec,chn-pruned-rmt,uniform",
        out_dir="o",
        budget="flops:0.5, bytes:300kB",
        configs=[full, channels, Documented()],
    )
    budgets = [plan.budget_of(stage) for stage in plan.stages]
    assert budgets[0] is None
    assert budgets[1] is plan.budget
    assert budgets[2].limits == plan.budget.limits[1:]
    assert budgets[2].text == "bytes:300kB"


def test_a_budget_of_the_learners_own():
    plan = plan_of(learner="full-prec,channel", out_dir="o")
    assert plan.budget is None
    assert [plan.budget_of(stage) for stage in plan.stages] == [None, parse_budget("flops:0.5")]
    plan = plan_of(learner="full-prec,channel", out_dir="o", budget="params:0.3")
    assert plan.budget_of(plan.stages[1]) is plan.budget
    config = learners.config_class("channel")(prune_option="uniform")
    plan = plan_of(learner="channel", out_dir="o", configs=[config])
    assert plan.budget_of(plan.stages[0]) is None


def on(target, tflite="int8"):
    return ExportConfig(tflite=tflite, convert=ConvertConfig(target=target))


@pytest.mark.parametrize("name", ["chn-pruned-rmt", "channel", "chn-pruned-gpu", "filter-pruned"])
def test_channels_are_kept_in_the_multiples_of_the_target(name):
    def kept(target, **flags):
        config = learners.config_class(name)(**flags)
        plan = plan_of(learner=f"full-prec,{name}", out_dir="o", export=on(target), configs=[
            learners.config_class("full-prec")(), config
        ])  # fmt: skip
        assert bool(plan.notices) == (plan.stages[1].config != config)
        return plan.stages[1].config.round_to

    assert [kept(target) for target in (None, "litert", "ethos-u55", "tflm")] == [1, 16, 8, 1]
    field = learners.config_class(name).MULTIPLE_FIELD
    assert kept("ethos-u55", **{field: 4}) == 4
    if name == "channel":
        assert kept("ethos-u55", quadruple=True) == 4


def test_budgets_of_a_device_need_one_that_tells():
    run = {"learner": "full-prec,chn-pruned-rmt", "out_dir": "o"}
    plan = plan_of(**run, budget="cycles:0.6,sram:40kB", export=on("ethos-u65"))
    assert plan.budget.target == "ethos-u65"
    assert plan.budget_of(plan.stages[1]).target == "ethos-u65"
    with pytest.raises(InputError, match=r"cycles are those .* Received: no --target"):
        plan_of(**run, budget="cycles:0.6")
    with pytest.raises(InputError, match=r"cycles are those .* Received: --target=cortex-m"):
        plan_of(**run, budget="cycles:0.6", export=on("cortex-m"))


def test_a_setting_belongs_to_the_stage_of_its_quantity(uniform, folder):
    Setting(quantity="channels", network={"a": 8}, values={"a": 4}).save(folder / "ratios.json")
    full, channels = (learners.config_class(n)() for n in ("full-prec", "chn-pruned-rmt"))
    plan = plan_of(
        learner="full-prec,chn-pruned-rmt,uniform",
        out_dir="o",
        setting="ratios.json",
        configs=[full, channels, Documented()],
    )
    assert [plan.setting_of(stage) for stage in plan.stages] == [None, plan.setting, None]


def test_configs_are_asked_whether_they_go_with_the_run(uniform):
    asked = []

    class Asking(Documented):
        def check_run(self, run, *, counts_given, num_epochs):
            asked.append((run.learner, counts_given, num_epochs))

    for values in ({"nb_epochs": "3"}, {"budget": "bytes:0.5"}):
        plan_of(True, learner="uniform", configs=[Asking()], **values)
    assert asked == [("uniform", False, 3.0), ("uniform", True, None)]


def test_the_newest_trained_network_of_a_folder_is_taken(tmp_path):
    states = tmp_path / "state"
    states.mkdir()
    for age, name in ((20, "1_full_prec"), (10, "1_distillation")):
        path = states / f"{name}.keras"
        path.write_bytes(b"")
        os.utime(path, (path.stat().st_atime, path.stat().st_mtime - age))
    made = plan_of(True, learner="chn-pruned-rmt", out_dir=str(tmp_path))
    assert made.initial_path == states / "1_distillation.keras"
    assert any("1_full_prec.keras" in line and "newest" in line for line in made.notices)


@pytest.mark.parametrize("name", ["auto", "non-uniform"])
def test_a_learner_for_a_file_of_its_own_has_it_written(name):
    pytest.importorskip("tflite_micro", reason="the package of the extra `tflm` is not installed")

    def kinds(target, tflite="float32,int8"):
        export = ExportConfig(tflite=tflite, convert=ConvertConfig(target=target))
        configs = [learners.config_class(each)() for each in ("full-prec", name)]
        return plan_of(
            learner=f"full-prec,{name}", out_dir="o", export=export, configs=configs
        ).run.export.kinds()

    assert kinds("tflm") == ("float32", "int8", "tflm")
    assert kinds("tflm", "int8") == ("int8",)  # what was asked for
    assert kinds(None) == kinds("litert") == ("float32", "int8")


def test_the_folders_of_a_run(tmp_path):
    plan = runs.make_run("full-prec,chn-pruned-rmt", tmp_path)[0]
    assert set(plan.folders) == {tmp_path, tmp_path / "state"}


def test_scoring_what_is_not_there(tmp_path):
    plan = runs.make_run("full-prec", tmp_path, exec_mode="eval")[0]
    with pytest.raises(InputError, match=r"none at .*model\.keras. Train first"):
        check_saved(plan)
    plan.saved_path.touch()
    check_saved(plan)


def test_files_of_ranges_that_no_learner_finds_are_refused(monkeypatch):
    monkeypatch.setattr("utils.export.exporters.package_is_there", lambda kind: True)
    with pytest.raises(InputError, match=r"the ranges that uniform-tf finds, and --learner ends"):
        plan_of(learner="full-prec", export=ExportConfig(tflite="int8,int8-litert"))
    plan_of(learner="uniform-tf", export=ExportConfig(tflite="int8,int8-litert"))


def test_the_package_that_a_kind_needs_is_named(monkeypatch):
    monkeypatch.setattr("utils.export.exporters.package_is_there", lambda kind: False)
    with pytest.raises(InputError, match=r"int8-litert needs the package litert_quantizer"):
        plan_of(learner="uniform-tf", export=ExportConfig(tflite="int8-litert"))
