"""CSV files."""

import pytest

from datasets.user_data.table_files import is_table_folder, read_table
from utils.errors import InputError


def write(path, text):
    path.write_text(text)
    return path


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_features_labels_and_the_column_that_pandas_adds(tmp_path, mark):
    rows = [["", "a", "Label", "b c"], *([str(n), str(n), f"k{n % 2}", "0.5"] for n in range(10))]
    text = "\ufeff" + "\n".join(mark.join(row) for row in rows) + "\n\n"
    data = read_table(write(tmp_path / "d.csv", text))
    assert data.classes == ("k0", "k1")
    for part in (data.train, data.test):
        assert (part.inputs.array[:, 0] % 2 == part.labels).all()
        assert (part.inputs.array[:, 1] == 0.5).all()
    assert (len(data.train), len(data.test)) == (8, 2)


def test_a_named_column_and_values_to_predict(tmp_path):
    text = "price,class\n" + "".join(f"{n / 10},{n}\n" for n in range(11))
    data = read_table(write(tmp_path / "d.csv", text), "price")
    assert data.train.labels.dtype == "float32"
    assert data.classes == ()


def test_two_files(tmp_path):
    write(tmp_path / "train.csv", "a,y\n1,no\n2,yes\n")
    write(tmp_path / "test.csv", "a,y\n3,yes\n")
    assert is_table_folder(tmp_path)
    data = read_table(tmp_path)
    assert data.train.labels.tolist() == [0, 1]
    assert data.test.labels.tolist() == [1]
    write(tmp_path / "test.csv", "b,y\n3,yes\n")
    with pytest.raises(InputError, match=r"test.csv: its columns differ"):
        read_table(tmp_path)


def test_two_columns_might_be_the_label(tmp_path):
    with pytest.raises(InputError, match="Several are: label, class"):
        read_table(write(tmp_path / "d.csv", "a,label,class\n1,2,3\n"))


def test_no_text(tmp_path):
    (tmp_path / "d.csv").write_bytes(b"a,label\n\xff\xfe,1\n")
    with pytest.raises(InputError, match="no text with separated values"):
        read_table(tmp_path / "d.csv")
