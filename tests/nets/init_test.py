import subprocess
import sys

import pytest

import nets
from nets import HELPERS, load_helper_class
from nets.abstract_model_helper import AbstractModelHelper
from utils.errors import InputError

BODY = """
from nets.abstract_model_helper import AbstractModelHelper
class {name}(AbstractModelHelper):
    def forward(self, inputs): return inputs
    def build_dataset_train(self): ...
    def build_dataset_eval(self): ...
"""


@pytest.mark.parametrize("name", HELPERS)
def test_built_in_helpers(name):
    helper_class = load_helper_class(name)
    assert issubclass(helper_class, AbstractModelHelper)
    assert helper_class.__module__ == f"nets.{name}"


def test_flags_can_be_read_without_tensorflow():
    code = (
        "import sys, nets\n"
        "for name in nets.HELPERS: nets.load_helper_class(name)().config\n"
        "nets.load_helper_class('convnet_at_digits')().check_files()\n"
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_misspelled_name():
    message = r"Unknown model helper 'resnet_at_cifar'. Did you mean 'resnet_at_cifar10'\? Valid: "
    with pytest.raises(InputError, match=message):
        load_helper_class("resnet_at_cifar")


def test_users_file(tmp_path):
    (tmp_path / "my_sizes.py").write_text("WIDTH = 5\n")
    file = tmp_path / "tiny_at_mine.py"
    file.write_text("import my_sizes\n" + BODY.format(name="Anything"))
    helper = load_helper_class(str(file))()
    assert (helper.model_name, helper.dataset_name) == ("tiny", "mine")


def test_two_files_of_one_name(tmp_path):
    classes = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        file = tmp_path / folder / "net.py"
        file.write_text(BODY.format(name="ModelHelper") + f"    folder = {folder!r}\n")
        classes.append(load_helper_class(str(file)))
    assert [helper_class.folder for helper_class in classes] == ["a", "b"]
    assert classes[0]().dataset_name == "own_data"


def test_class_named_model_helper_is_preferred(tmp_path):
    file = tmp_path / "net.py"
    file.write_text(BODY.format(name="Other") + BODY.format(name="ModelHelper"))
    assert load_helper_class(str(file)).__name__ == "ModelHelper"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"there is no such file"),
        ("x = 1", r"expected a class ModelHelper, .* Found: none."),
        (BODY.format(name="A") + BODY.format(name="B"), r"Found: A, B."),
        (
            "import no_such_module_here",
            r"ModuleNotFoundError: No module named 'no_such_module_here",
        ),
        ("def broken(:", r"SyntaxError: "),
        (
            "from nets.abstract_model_helper import AbstractModelHelper\n"
            "class ModelHelper(AbstractModelHelper):\n    pass",
            r"ModelHelper lacks build_dataset_eval, build_dataset_train.",
        ),
    ],
)
def test_bad_files(tmp_path, text, message):
    file = tmp_path / "net.py"
    if text is not None:
        file.write_text(text)
    with pytest.raises(InputError, match=message):
        load_helper_class(str(file))


@pytest.mark.parametrize(
    ("text", "declared", "not_declared"),
    [
        ("class ModelHelper: pass", [], ["width", "xyzzy"]),
        (
            "class Config(HelperConfig):\n    width: int = flag(3)\nconfig_class = Config",
            ["width", "my_width", "nowidth"],
            ["xyzzy", "wide"],
        ),
        ("from my import Config\nconfig_class = Config", ["width", "xyzzy"], []),
        ("from nets.resnet_at_cifar10 import ModelHelper as R", ["resnet_size"], ["xyzzy"]),
    ],
)
def test_which_flags_a_file_may_declare(tmp_path, text, declared, not_declared):
    (tmp_path / "net.py").write_text(text)
    may = nets.may_declare(tmp_path / "net.py", {"resnet_size"})
    assert [name for name in declared if not may(name)] == []
    assert [name for name in not_declared if may(name)] == []


def test_the_file_of_a_helper(tmp_path):
    (tmp_path / "net.py").touch()
    assert nets.helper_path(str(tmp_path / "net.py")) == tmp_path / "net.py"
    for name, message in {
        "resnet": "Unknown model helper 'resnet'",
        "none.py": "no such file",
    }.items():
        with pytest.raises(InputError, match=message):
            nets.helper_path(name)
