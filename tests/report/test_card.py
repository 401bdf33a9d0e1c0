import pytest

from conftest import tiny_config, tiny_network
from dvdgan.card import UNMEASURED, card, with_scores
from dvdgan.config.network import ProjectedConfig
from dvdgan.report.evaluation.card import write_scores
from support.records import example, prediction

CARD = card(tiny_config("store"), ["dot", "bar"], {"Steps": "12"})


def scored(path, text):
    """The card in which this text has got the scores of an evaluation."""
    path.write_text(text)
    write_scores(path, example())
    return path.read_text()


def test_new_card_says_that_nothing_was_measured_and_how():
    assert CARD.rstrip().endswith(UNMEASURED)
    assert with_scores(CARD) == CARD


def test_features_that_a_discriminator_saw_are_named():
    config = tiny_config("store")
    projected = config.model_copy(update={"network": tiny_network(projected=ProjectedConfig())})
    assert "EfficientNet" not in CARD
    assert "features of EfficientNet-Lite0, which flatters" in card(projected, ["dot", "bar"], {})


def test_scores_stand_beside_their_baselines(tmp_path):
    evaluation = example()
    text = scored(tmp_path / "card.md", CARD)
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


def test_a_predictor_s_card_has_its_baselines(tmp_path):
    path = tmp_path / "card.md"
    path.write_text(CARD)
    write_scores(path, example().model_copy(update={"prediction": prediction()}))
    text = path.read_text()
    assert "| 4 made frames, 180 starts | PSNR (dB, higher is better) | SSIM (higher is better) | ST-LPIPS (" in text
    assert "| last given frame, held | 0.355 | 0.355 | 0.445 |" in text
    assert "Ahead of both baselines, frame by frame: from made frame 3 on (" in text
    assert "- Does it predict better than copying the last frame? from made frame 3 on" in text


def test_scores_replace_those_that_were_there_and_nothing_else(tmp_path):
    path = tmp_path / "card.md"
    once = scored(path, CARD)
    assert scored(path, once) == once
    assert with_scores(once) == CARD
    own = CARD + "\n## How I use it\n\nDaily.\n"
    assert scored(path, own) == once + "\n## How I use it\n\nDaily.\n"
    assert scored(path, "# Mine\n").startswith("# Mine\n\n## Scores\n")


def test_card_is_replaced_whole(tmp_path):
    assert scored(tmp_path / "card.md", CARD) != CARD
    assert [entry.name for entry in tmp_path.iterdir()] == ["card.md"]
    with pytest.raises(OSError, match="No such"):
        write_scores(tmp_path / "none" / "card.md", example())
