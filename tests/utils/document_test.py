import pytest

from utils.document import Section, load
from utils.errors import InputError


def section(**values):
    return Section("doc", "part", values, ("name", "size", "items"))


def test_values_by_their_types():
    found = section(name="a", size="1e-1", items=[1])
    assert found.text("name", ("a", "b")) == "a"
    assert found.number("size", 0, 1) == 0.1  # YAML reads it as a text
    assert found.items("items") == [1]
    assert found.has("name") and not section().has("name")
    assert section(name=None).names("name") and not section(name=None).has("name")
    assert not section().names("name")
    assert section().number("size", 0, 1, default=0.5) == 0.5
    assert section().text("name", default="b") == "b"


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (
            lambda: section(nmae=1),
            r"^doc: `part` unknown key 'nmae'\. Did you mean 'name'\? Valid: ",
        ),
        (
            lambda: Section("doc", "", [1], ("a",)),
            r"^doc: must be a mapping of a\. Received: \[1\]\.",
        ),
        (
            lambda: section(name=3).text("name"),
            r"^doc: `part\.name` must be a text\. Received: 3\.",
        ),
        (lambda: section().text("name"), r"`part\.name` must be a text\. Received: None\."),
        (
            lambda: section(name="aple").text("name", ("apple", "pear")),
            r"`part\.name` is 'aple'\. Did you mean 'apple'\? Valid: apple, pear\.$",
        ),
        (
            lambda: section(size=True).number("size", 0),
            r"must be a number in \[0, inf\)\. Received: T",
        ),
        (lambda: section(size="big").number("size", 0), r"must be a number .*Received: 'big'\."),
        (lambda: section(size=2).number("size", 0, 1), r"must be in \[0, 1\)\. Received: 2\."),
        (lambda: section(size=float("nan")).number("size", 0), r"must be in .*Received: nan\."),
        (
            lambda: section(items=[]).items("items"),
            r"`part\.items` must be a list\. Received: \[\]",
        ),
    ],
)
def test_refusals(ask, message):
    with pytest.raises(InputError, match=message):
        ask()


def written(tmp_path, text):
    path = tmp_path / "doc.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_file(tmp_path):
    assert load(written(tmp_path, "a: [1, 2]\nb: {c: x}\n"), "doc") == {
        "a": [1, 2],
        "b": {"c": "x"},
    }


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1e-1, "b": [true, null]}',
        '{\n\t"a": 0.1,\n\t"b": [true, null]\n}',
        "a: 0.1\nb: [yes, ~]",
    ],
)
def test_json_and_yaml_by_content(tmp_path, text):
    assert load(written(tmp_path, text), "doc") == {"a": 0.1, "b": [True, None]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "b": {"c": 1, "c": 2}}', r"^doc: an object has the name 'c' twice\.$"),
        ("*conv: 1\n", r"undefined alias 'conv' .* A name that begins with \* needs quotes\.$"),
        ("a: " + "[" * 20_000, r"^doc: the file is no YAML: maximum recursion"),
        (
            "#" * 2**20 + "\n",
            r"^doc: the file cannot be read: "
            r".*larger than 1,048,576 bytes, the most that is read\.$",
        ),
        ("a: [1\n", r"^doc: the file is no YAML: while parsing"),
        ("a: 1\nb: {c: 1, c: 2}\n", r"^doc: `c` stands twice \(line 2\)\.$"),
        ("a: !!python/object/apply:os.getcwd []\n", r"^doc: the file is no YAML: could not determ"),
        # Aliases of aliases, a file of 100 bytes, would be 10^9 values, as would merged mappings.
        (
            "a: &a [1, 1]\nb: &b [*a, *a]\nc: [*b, *b]\n",
            r"^doc: what stands in line \d is used again",
        ),
        ("a: &a {x: 1}\nb: {<<: [*a, *a]}\n", r"line 1 is used again by an alias \(\*\)\. Write"),
        ("a: &a [*a]\n", r"^doc: what stands in line 1 is used again"),
        ("[1, 2]: x\n", r"^doc: the file is no YAML: "),
        ("a: 1\n---\nb: 2\n", r"^doc: the file is no YAML: expected a single document"),
    ],
)
def test_what_is_no_such_file(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as caught:
        load(written(tmp_path, text), "doc")
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match=r"^doc: the file cannot be read: .*No such file"):
        load(str(tmp_path / "none.yaml"), "doc")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(
        InputError, match=r"^doc: the file cannot be read: .*line 1: begins with .* UTF-16"
    ):
        load(str(tmp_path / "bytes.yaml"), "doc")
