import io

from rich.console import Console

from tests.utils.report import samples
from utils.report import print_summary


def printed(report, page="runs/demo/report.html"):
    stream = io.StringIO()
    print_summary(report, page, Console(file=stream, width=80))
    return stream.getvalue()


def test_table_of_before_and_after():
    lines = printed(samples.full_report(model_helper="convnet_at_digits")).splitlines()
    text = "\n".join(" ".join(line.split()) for line in lines)
    assert "convnet_at_digits: full-prec, chn-pruned-rmt" in text
    assert "before after change, 95 % interval" in text
    assert "Top-1 accuracy 91.73 % 89.41 % -2.32 points [-2.80, -1.84], lower" in text
    assert "95 % interval 91.2–92.2 88.8–90.0 n = 10,000" in text
    assert "Top-1 beside control 91.92 % 89.41 % -2.51 points [-3.01, -2.01], lower" in text
    assert "Parameters 272 k 139 k 0.51x, fewer" in text
    assert "FLOPs (multiply-adds) 40.8 M 20.4 M 0.50x, fewer" in text
    assert ".keras file 1.19 MB 655 kB 0.55x, smaller" in text
    assert "Top-1, float32 file 91.73 % 89.35 % -2.38 points [-2.87, -1.89], lower" in text
    assert "float32 file 1.09 MB 590 kB 0.54x, smaller" in text
    assert "Latency p50, float32 0.431 ms 0.298 ms 0.45x [0.43, 0.47], faster" in text
    assert "int8 file 306 kB 171 kB 0.56x, smaller" in text
    assert "Latency p50, int8 0.209 ms 0.094 ms 0.45x [0.43, 0.47], faster" in text
    assert "deflated" not in text
    assert text.rstrip().endswith("Report: runs/demo/report.html")


def test_fits_into_80_columns_without_colours():
    text = printed(samples.full_report())
    assert "\x1b" not in text
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80


def test_says_what_to_beware_of():
    report = samples.report(files=(samples.file(passed=False),))
    assert "problem: The int8 file failed its check" in printed(report)
    assert "unknown: No file was exported" in printed(samples.report())
    assert "Faster than before" not in printed(report)


def test_a_path_stays_in_one_piece():
    page = "/somewhere/" + "very_long/" * 12 + "report.html"
    assert f"Report: {page}\n" in printed(samples.report(), page)


def test_names_are_no_markup():
    text = printed(samples.report(model_helper="[bold]my_net[/bold]", notes=("[red]x",)))
    assert "[bold]my_net[/bold]" in text
