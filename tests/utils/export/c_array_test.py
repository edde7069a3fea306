import shutil
import subprocess

import pytest

from utils.export.c_array import c_array, identifier
from utils.export.flatbuffer import read_graph

# Prints what the header says, then the array's bytes.
PROGRAM = """
#include <stdint.h>
#include <stdio.h>
#include "net_int8.h"
int main(void) {
  const int shape[] = NET_INT8_INPUT_0_SHAPE;
  printf("%u %d %d\\n", net_int8_len, NET_INT8_LEN, (int)((uintptr_t)net_int8 % 16));
  printf("%s %s %d %d\\n", NET_INT8_INPUT_0_NAME, NET_INT8_INPUT_0_TYPE, NET_INT8_INPUT_0_SIZE,
         shape[3]);
  printf("%.9g %d %s\\n", (double)NET_INT8_INPUT_0_SCALE, NET_INT8_INPUT_0_ZERO_POINT,
         NET_INT8_OUTPUT_0_NAME);
  fwrite(net_int8, 1, net_int8_len, stdout);
  return 0;
}
"""


@pytest.mark.parametrize("ending", ["c", "cc"])
def test_a_compiler_gives_the_file_back(ending, shortcuts_file, tmp_path):
    compilers = {"c": shutil.which("cc"), "cc": shutil.which("c++")}
    if not compilers["cc"] or not compilers[ending]:
        pytest.skip("there is no C++ compiler on this computer")
    header, source = c_array(shortcuts_file, "net_int8")
    (tmp_path / "net_int8.h").write_text(header)
    (tmp_path / "net_int8.cc").write_text(source)
    (tmp_path / f"main.{ending}").write_text(PROGRAM)
    flags = ["-Wall", "-Wextra", "-Werror"]
    parts = [("cc", "-std=c++11", "net_int8.cc"), (ending, "", f"main.{ending}")]
    for number, (kind, standard, name) in enumerate(parts):
        command = [compilers[kind], *flags, *filter(None, [standard]), "-c", name]
        subprocess.run([*command, "-o", f"{number}.o"], cwd=tmp_path, check=True)
    subprocess.run([compilers["cc"], "0.o", "1.o", "-o", "main"], cwd=tmp_path, check=True)
    said = subprocess.run([tmp_path / "main"], check=True, capture_output=True).stdout
    sizes, name, grid, content = said.split(b"\n", 3)
    graph = read_graph(shortcuts_file)
    taken = graph.tensors[graph.input_order[0]]
    assert content == shortcuts_file
    assert sizes.split() == [str(len(content)).encode()] * 2 + [b"0"]
    assert name == b"images int8 128 2"
    scale, zero_point, output = grid.split()
    assert float(scale) == pytest.approx(float(taken.scale[0]), rel=1e-7)
    assert int(zero_point) == int(taken.zero_point[0]) and output == b"head"


@pytest.mark.parametrize(
    ("text", "name"), [("model_int8", "model_int8"), ("3 x-y", "_3_x_y"), ("", "_"), ("é", "_")]
)
def test_names_that_c_allows(text, name):
    assert identifier(text) == name


def test_a_file_without_scales_has_none(contents):
    header, source = c_array(contents["float32"], "net")
    assert "SCALE" not in header and '#define NET_INPUT_0_TYPE "float32"' in header
    assert source.count("0x") == len(contents["float32"])
