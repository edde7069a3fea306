import onnx

from utils.frontends.onnx.operators import OPERATORS


def test_the_tables_name_operators_of_onnx():
    known = {schema.name for schema in onnx.defs.get_all_schemas_with_history()}
    names = {*OPERATORS.functions, *OPERATORS.folds, *OPERATORS.spatial, *OPERATORS.passing}
    assert names - known == set()
    assert set(OPERATORS.functions) >= OPERATORS.spatial
