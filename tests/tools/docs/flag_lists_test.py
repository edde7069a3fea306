import pytest

from tools.docs import flag_lists
from utils.errors import InputError

RUN = "learners.config:RunConfig"
RESNET = "nets.resnet_at_cifar10:ResnetAtCifar10Config beyond nets.config:HelperConfig"


def page(classes, inside="| stale |\n"):
    return f"before\n\n<!-- flags: {classes} -->\n{inside}<!-- /flags -->\n\nafter\n"


def test_list_is_put_between_the_comments():
    text = flag_lists.updated(page(RUN))
    assert text.startswith(f"before\n\n<!-- flags: {RUN} -->\n\n- **`--")
    assert text.endswith("\n\n<!-- /flags -->\n\nafter\n")
    assert "- **`--seed`** (in [0, " in text
    assert "stale" not in text


def test_a_second_time_changes_nothing():
    text = flag_lists.updated(page(RUN) + page(RESNET))
    assert flag_lists.updated(text) == text


def test_beyond_leaves_out_what_is_the_same():
    text = flag_lists.updated(page(RESNET))
    assert "`--resnet_size`" in text
    assert "`--batch_size`" not in text


def test_comments_inside_a_line_are_text():
    text = f"    <!-- flags: {RUN} -->\n    <!-- /flags -->\n"
    assert flag_lists.updated(text) == text


@pytest.mark.parametrize("classes", ["learners.nowhere:Config", "learners.config:Nothing", "x"])
def test_unknown_class_is_refused(classes):
    with pytest.raises(InputError, match=r"must name a config class as module:Class\. Received"):
        flag_lists.updated(page(classes))


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text("no tables\n")
    (tmp_path / "docs" / "flags.md").write_text(page(RUN))
    monkeypatch.setattr(flag_lists, "ROOT", tmp_path)
    return tmp_path


def test_command_writes_only_what_is_out_of_date(checkout, capsys):
    assert flag_lists.main([]) == 0
    assert capsys.readouterr().out == "written: docs/flags.md\n"
    assert "`--learner`" in (checkout / "docs" / "flags.md").read_text()
    assert (checkout / "README.md").read_text() == "no tables\n"
    assert flag_lists.main([]) == 0
    assert capsys.readouterr().out == "written: nothing, all lists are up to date\n"


def test_check_changes_nothing(checkout, capsys):
    assert flag_lists.main(["--check"]) == 2
    assert capsys.readouterr().err == (
        "error: lists of flags out of date in docs/flags.md: run tools/docs/flag_lists.py.\n"
    )
    assert (checkout / "docs" / "flags.md").read_text() == page(RUN)
