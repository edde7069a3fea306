import pytest

from learners.channels.ratio_list import RatioList, read_ratios
from utils.errors import InputError


@pytest.fixture
def write(tmp_path):
    def written(text):
        path = tmp_path / "ratio.list"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return written


@pytest.mark.parametrize(
    "text", ["1.0, 0.1875,0.5", "1.0,0.1875,0.5,\n", "1\n0.1875\n.5\n", " 1.0 , 0.1875\t0.5 "]
)
def test_numbers_between_commas_or_white_space(write, text):
    path = write(text)
    wanted = RatioList(ratios=(0.0, 0.8125, 0.5), source=f"`cp_list`: {path}")
    assert read_ratios(path, "cp_list", removed=False) == wanted


def test_what_goes_instead_of_what_stays(write):
    assert read_ratios(write("0, 0.25"), "f", removed=True).ratios == (0.0, 0.25)


@pytest.mark.parametrize(
    ("text", "removed", "message"),
    [
        ("0.5, 1.5", False, r"entry 2: must be the fraction that stays, in \(0, 1\]. .*: '1.5'"),
        ("0.0", False, r"entry 1: must be the fraction that stays, in \(0, 1\]. Received: '0.0'"),
        ("-0.5", False, r"Received: '-0.5'"),
        ("nan", False, r"Received: 'nan'"),
        ("0.5, half, 1", False, r"entry 2: .* Received: 'half'"),
        ("0.5,, 1", False, r"entry 2: .* Received: ''"),
        ("0.5, 1.0", True, r"entry 2: must be the fraction removed, in \[0, 1\). Received: '1.0'"),
        ("", False, r"ratio.list is empty. Write one ratio for each layer"),
        (" \n", False, r"is empty"),
        (
            b"\xff\xfe\x00",
            False,
            r"cannot be read as a list of ratios: .*line 1: begins with the byte order mark",
        ),
        ("1," * 2**20, False, r"cannot be read as a list of ratios: .*is larger than"),
    ],
)
def test_what_is_no_list_is_refused(write, text, removed, message):
    with pytest.raises(InputError, match=message) as refusal:
        read_ratios(write(text), "cp_prune_list_file", removed=removed)
    assert str(refusal.value).startswith("`cp_prune_list_file`: ")
    assert "\n" not in str(refusal.value)


def test_a_file_that_is_missing(tmp_path):
    with pytest.raises(InputError, match=r"`f`: .*gone.list cannot be read .*No such file"):
        read_ratios(tmp_path / "gone.list", "f", removed=False)
