"""The older name."""

from tools.conversion import export_quant_tflite_model, export_tflite


def test_it_is_the_same_command() -> None:
    assert export_quant_tflite_model.main is export_tflite.main
