def test_help_names_the_flags(capsys):
    from tools.conversion.tensorflow_reconstructor import main

    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert "--graph" in shown and "--save_path" in shown
