import pytest

from benchmarks import real_data


@pytest.fixture
def given_file():
    """Give a file of $FLOWPRESS_DATA by its name; without it the test skips."""

    def find(name):
        try:
            return real_data.data_file(name)
        except real_data.DataUnavailableError as error:
            pytest.skip(str(error))

    return find
