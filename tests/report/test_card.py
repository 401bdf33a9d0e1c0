import pytest

from conftest import tiny_config
from dvdgan.models import UNMEASURED, with_scores
from dvdgan.report.evaluation.card import _scores, write_scores
from dvdgan.training.samples import card
from support.records import example

CARD = card(tiny_config("store"), ["dot", "bar"], {"Steps": "12"})


def test_new_card_says_that_nothing_was_measured_and_how():
    assert CARD.rstrip().endswith(UNMEASURED)
    assert with_scores(CARD) == CARD


def test_scores_stand_beside_their_baselines():
    evaluation = example()
    text = with_scores(CARD, _scores(evaluation))
    main = [score for score in evaluation.scores if score.headline]
    assert main
    for score in main:
        (line,) = [line for line in text.splitlines() if line.startswith(f"| {score.name}, {score.space} (")]
        _, _, value, baseline, _ = (cell.strip() for cell in line.split("|"))
        assert float(value.split()[0].replace(",", "")) == pytest.approx(score.overall.value, rel=0.05)
        assert float(baseline.replace(",", "")) == pytest.approx(score.baseline.mean, rel=0.01)
    assert evaluation.memorisation.spaces[0].verdict in text
    assert UNMEASURED not in text
    assert text.startswith(CARD.partition("## Scores")[0])


def test_scores_replace_those_that_were_there_and_nothing_else():
    evaluation = example()
    once = with_scores(CARD, _scores(evaluation))
    assert with_scores(once, _scores(evaluation)) == once
    assert with_scores(once) == CARD
    own = CARD + "\n## How I use it\n\nDaily.\n"
    assert with_scores(own, _scores(evaluation)) == once + "\n## How I use it\n\nDaily.\n"
    assert with_scores("# Mine\n", _scores(evaluation)).startswith("# Mine\n\n## Scores\n")


def test_card_is_replaced_whole(tmp_path):
    path = tmp_path / "card.md"
    path.write_text(CARD)
    write_scores(path, example())
    assert path.read_text() == with_scores(CARD, _scores(example()))
    assert [entry.name for entry in tmp_path.iterdir()] == ["card.md"]
    with pytest.raises(OSError, match="No such"):
        write_scores(tmp_path / "none" / "card.md", example())
