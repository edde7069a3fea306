"""The grid of float and int8, before and after."""

from html.parser import HTMLParser

from tests.utils.report import samples
from utils.report.two_by_two import as_html, grid, title


def rows(report):
    return {row.label: (row.before, row.after) for row in grid(report)}


def test_every_kind_beside_its_own_kind():
    found = rows(samples.full_report())
    assert list(found) == ["float32", "dynamic", "int8", "control", "network"]
    assert found["int8"] == (
        ("91.73 % (91.2–92.2)", "306 kB, 0.209 ms"),
        ("89.35 % (88.7–89.9)", "171 kB, 0.094 ms"),
    )


def test_title_counts_the_samples():
    assert title(samples.report()) == "resnet_at_cifar10 on cifar10: chn-pruned-rmt, n = 10,000"


def test_without_files_the_network_itself():
    found = rows(samples.report())
    assert list(found) == ["Keras", "network"]
    assert found["Keras"][1] == ("89.41 % (88.8–90.0)", "655 kB")


def test_what_files_cost_on_the_target():
    whole = samples.on_device(cycles=2_500_000, sram_bytes=81_000, encoded_bytes=260_000)
    files = (samples.file_before(on_device=whole), samples.file(on_device=samples.on_device()))
    found = rows(samples.report(files=files))
    assert list(found) == ["int8", "ethos-u55-128", "network"]
    assert found["ethos-u55-128"] == (
        ("2.50 M cycles", "81.0 kB memory", "260 kB weights"),
        ("1.00 M cycles", "40.0 kB memory", "80.0 kB weights"),
    )
    arena = samples.on_device(device="tflm", cycles=None, encoded_bytes=None)
    found = rows(samples.report(files=(samples.file("int16x8", on_device=arena),)))
    assert found["tflm, int16x8"] == (("–",), ("40.0 kB memory",))


def test_files_that_are_not_there():
    files = (samples.file("float32", failed="no room"), samples.file(passed=False, path=None))
    found = rows(samples.report(files=files))
    assert found["float32"] == (("–",), ("could not be made",))
    assert found["int8"][1][1].endswith("failed its check")


def test_bytes_that_decided_are_shown_where_they_are_those_of_deflated_files():
    found = rows(samples.decided_deflated())
    assert [part[-1] for part in found["int8"]] == ["251 kB deflated", "63.0 kB deflated"]
    without = rows(samples.decided_deflated(searches=(samples.search(),)))
    assert not any("deflated" in line for part in without["int8"] for line in part)


def test_zeros_and_bits_are_counted():
    after = samples.AFTER.to_dict() | {"sparsity": 0.5, "bits": 4.25}
    report = samples.report(after=type(samples.AFTER).from_dict(after))
    assert rows(report)["network"][1][0] == "139 k parameters, 50.0 % zero, 4.25 bits"


def test_other_metrics_where_there_is_no_accuracy():
    plain = {
        "top1": None,
        "top1_interval": None,
        "change": None,
        "metrics": {"loss": 1.0, "auc": 0.9},
    }
    after = type(samples.AFTER).from_dict(samples.AFTER.to_dict() | plain)
    assert rows(samples.report(after=after))["Keras"][1][0].startswith("auc 0.9")


class _Texts(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.text = [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text += data


def test_html_holds_the_same_and_no_markup_of_names():
    report = samples.full_report(model_helper="<script>net")
    parser = _Texts()
    parser.feed(as_html(report))
    assert "script" not in parser.tags
    assert "<script>net on cifar10" in parser.text
    for row in grid(report):
        for text in (row.label, *row.before, *row.after):
            assert text in parser.text
