"""What is trained on when eyes come before words: who learns when, and that the places do learn what they show."""

import pytest
import torch

from course_pkg.batching import CaptionBatch
from course_pkg.losses import sequence_cross_entropy
from course_pkg.models import EncoderDecoder, show_attend_tell
from course_pkg.notation import CourseError
from course_pkg.objective import Objective, loss_of
from course_pkg.recipes import Training
from course_pkg.vocabulary import EOS

GRID, CELL, WORDS = 8, 4, (4, 5, 6)  # cells of so many pixels
PLAN = Training(words_first=3, reduction="sentence")


def captioner(**settings: object) -> EncoderDecoder:
    torch.manual_seed(0)
    sizes = {"feature_size": 32, "embedding_size": 6, "state_size": 8, "alignment_size": 6}
    return show_attend_tell(
        target_vocabulary=7, network="small", image_size=CELL * GRID, grid=GRID, **{**sizes, **settings}
    )


def squares(count: int, seed: int) -> tuple[CaptionBatch, torch.Tensor]:
    """Dark pictures, each with a square of one of three colours; the caption names it, ``place[b, word]`` is where."""
    generator = torch.Generator().manual_seed(seed)
    pictures, captions = torch.zeros(count, 3, CELL * GRID, CELL * GRID), []
    place = torch.full((count, 7), -1)
    for row in range(count):
        cell, word = int(torch.randint(GRID * GRID, (), generator=generator)), WORDS[row % 3]
        top, left = CELL * (cell // GRID), CELL * (cell % GRID)
        pictures[row, word - 4, top : top + CELL, left : left + CELL] = 1
        place[row, word] = cell
        captions.append([word, EOS])
    return CaptionBatch.collate(pictures, captions), place


def learners(objective: Objective, batch: CaptionBatch, update: int) -> set[str]:
    """The parts that a batch teaches."""
    objective.zero_grad(set_to_none=True)
    loss_of(objective, batch, update).backward()
    named = {name: p.grad for name, p in objective.named_parameters()}
    return {".".join(name.split(".")[:3]) for name, grad in named.items() if grad is not None and bool(grad.any())}


def test_first_the_eyes_learn_and_then_everything_else() -> None:
    objective, (batch, _) = Objective(captioner(), PLAN), squares(4, seed=1)
    eyes = {"model.encoder.network", "votes.votes.weight", "votes.votes.bias"}
    for update in range(PLAN.words_first):
        assert learners(objective, batch, update) == eyes
    for update in (PLAN.words_first, PLAN.words_first + 1):
        rest = learners(objective, batch, update)
        assert "model.decoder.attention" in rest and "model.decoder.first" in rest
        assert not rest & eyes


def test_afterwards_the_loss_is_the_models_own() -> None:
    model, (batch, _) = captioner(), squares(4, seed=1)
    objective = Objective(model, PLAN)
    logits = model(batch).logits
    wanted = sequence_cross_entropy(logits, batch.targets, batch.target_mask, reduction="sentence")
    torch.testing.assert_close(loss_of(objective, batch, PLAN.words_first), wanted)


def test_what_is_measured_is_the_likelihood_whatever_is_learned() -> None:
    model, (batch, _) = captioner(), squares(4, seed=1)
    objective = Objective(model, PLAN).eval()
    wanted = sequence_cross_entropy(model(batch).logits, batch.targets, batch.target_mask, reduction="sum")
    for update in (0, PLAN.words_first):
        torch.testing.assert_close(loss_of(objective, batch, update), wanted)


def test_without_words_first_eyes_and_words_learn_together() -> None:
    objective, (batch, _) = Objective(captioner(), Training()), squares(4, seed=1)
    assert objective.votes is None
    assert {"model.encoder.network", "model.decoder.attention"} <= learners(objective, batch, 0)


def test_places_learn_the_words_of_what_they_show_though_no_one_says_where() -> None:
    objective = Objective(captioner(), Training(words_first=200))
    optimiser = torch.optim.Adam(objective.parameters(), lr=3e-3)
    batch, _ = squares(256, seed=1)
    for update in range(200):
        optimiser.zero_grad()
        loss_of(objective, batch.take(torch.arange(32) + 32 * (update % 8)), update).backward()
        optimiser.step()
    new, place = squares(100, seed=2)
    with torch.no_grad():
        votes = objective.votes.votes(objective.model.encoder.features(new.source))
    named, surest = place >= 0, votes.argmax(dim=1)
    rows, columns = (surest // GRID - place // GRID).abs(), (surest % GRID - place % GRID).abs()
    sees = (torch.maximum(rows, columns) <= 1)[named]  # what a place sees is three cells wide
    assert sees.float().mean() > 0.9, "of places at random at most 9 in 64"
    assert (votes.amax(dim=1)[:, 4:] > 0).eq(named[:, 4:]).float().mean() > 0.9


@pytest.mark.parametrize("settings", [{"network": None}, {"frozen": True}])
def test_a_model_without_eyes_to_train_is_refused(settings: dict[str, object]) -> None:
    sizes = {"feature_size": 32, "embedding_size": 6, "state_size": 8, "alignment_size": 6}
    model = show_attend_tell(
        target_vocabulary=7, **{"network": "small", "image_size": 32, **sizes, "grid": 4, **settings}
    )
    with pytest.raises(CourseError, match="words_first teaches a picture network"):
        Objective(model, PLAN)
