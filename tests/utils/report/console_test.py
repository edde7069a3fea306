import io

from rich.console import Console

from tests.utils.report import samples
from utils.report import print_summary
from utils.report.console import plain_text
from utils.report.verdict import verdict


def printed(report, page="runs/demo/report.html"):
    stream = io.StringIO()
    print_summary(report, page, Console(file=stream, width=80))
    return stream.getvalue()


def test_table_of_before_and_after():
    lines = printed(samples.full_report(model_helper="convnet_at_digits")).splitlines()
    text = "\n".join(" ".join(line.split()) for line in lines)
    assert "convnet_at_digits on cifar10: full-prec, chn-pruned-rmt, n = 10,000\n" in text
    assert "float32 91.73 % (91.2–92.2) 89.35 % (88.7–89.9)\n" in text
    assert "\n1.09 MB, 0.431 ms 590 kB, 0.298 ms\n" in text
    assert "int8 91.73 % (91.2–92.2) 89.35 % (88.7–89.9)\n" in text
    assert "\n306 kB, 0.209 ms 171 kB, 0.094 ms\n" in text
    assert "control 91.92 %, trained as long\n" in text
    assert "network 272 k parameters 139 k parameters\n" in text
    assert "\n40.8 M multiply-adds 20.4 M multiply-adds\n" in text
    assert f"\n{verdict(samples.full_report())}\n" in text
    assert text.rstrip().endswith("Report: runs/demo/report.html")


def test_plain_text_is_the_same_without_the_path():
    report = samples.full_report()
    shown = [line.rstrip() for line in printed(report).splitlines()]
    assert plain_text(report).splitlines() == shown[:-1]


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
