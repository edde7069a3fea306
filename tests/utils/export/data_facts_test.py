from utils.export.data_facts import NO_FACTS, DataFacts


def test_what_says_nothing_is_false():
    assert not NO_FACTS
    assert not DataFacts(is_image=True, std=(1.0,))
    assert DataFacts(labels=("cat", "dog"))
    assert DataFacts(mean=(0.5,), std=(0.2,))
