import importlib.util

import pytest

from utils.errors import InputError
from utils.frontends import ALIASES, FRONTENDS, Frontend, find_frontend, framework_of


def test_every_framework_has_a_reader():
    for name, frontend in FRONTENDS.items():
        module = frontend.reads.partition(":")[0]
        assert importlib.util.find_spec(module) is not None, name
        assert find_frontend(name) is frontend
    assert all(target in FRONTENDS for target in ALIASES.values())


def test_files_are_known_by_their_endings():
    assert framework_of("a/net.ONNX") == "onnx"
    assert framework_of("net-symbol.json") == "mxnet"
    assert framework_of("net.h5") == "keras"
    assert framework_of("net.json") is None


def test_unknown_frameworks_and_missing_packages_are_said():
    with pytest.raises(InputError, match=r"'caffe'.*keras, mxnet, onnx"):
        find_frontend("caffe")
    absent = Frontend(reads="a:b", suffixes=(), extra="foo", packages=("no_such",), what="Foo nets")
    with pytest.raises(InputError, match=r"Foo nets needs .*no_such.*\[foo\]"):
        absent.load()
