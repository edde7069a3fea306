from benchmarks.recorded import RECORDED
from benchmarks.runner import FOLDER
from benchmarks.topics import find_topics


def test_figures_belong_to_a_topic_and_say_what_was_measured():
    topics = find_topics(FOLDER)
    for figure in RECORDED:
        assert set(figure) == {"topic", "what", "figure", "value"}
        assert figure["topic"] in topics
        assert figure["what"]
