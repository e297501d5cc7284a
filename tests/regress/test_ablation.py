"""Which modality helps, on planted runs: what tells is found, what does not is not claimed."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from regress.ablation import MARGIN, Ablation, ablations
from regress.runs import choose, read_predictions

KINDS = {"eff": ("image", "timm"), "bert": ("text", "transformers"), "count": ("text", "statistics")}
KINDS |= {"glove": ("text", "transformers"), "unknown": ("text", "")}


@pytest.fixture
def plant(world: Any) -> Callable[..., None]:
    """`plant("eff+bert", predictions)` → a run of one model on these features."""

    def write(features: str, p: Any, model: str = "ridge", **changes: Any) -> None:
        names = features.split("+")
        encoders = {n: {"spec": {"kind": KINDS[n][0], "family": KINDS[n][1]}} for n in names if n != "unknown"}
        world.added = {"encoders": encoders}
        name = f"{model}-bce-{features}" + "".join(map(str, changes.values()))
        world.write(world.folder / "runs", model, p, name=name, features=names, **changes)

    return write


def found(world: Any) -> list[Ablation]:
    entries, _ = choose([], world.folder / "runs")
    return ablations(entries, read_predictions(entries))


def told(ablation: Ablation) -> dict[tuple[str, str], str]:
    return {(each.to, each.added): each.finding for each in ablation.additions}


def test_what_tells_helps_and_what_does_not_is_said_to_add_nothing(world: Any, plant: Any) -> None:
    good = world.like(0.9)
    plant("eff", world.mean)
    plant("bert", good)
    plant("eff+bert", np.clip(good * world.random.lognormal(0, 0.001, world.n), 1e-4, 1))
    (ablation,) = found(world)
    assert [label for _, label in ablation.sets][-1] == "pictures"
    assert told(ablation) == {("pictures", "texts"): "helps", ("texts", "pictures"): "adds nothing"}
    nothing = next(each for each in ablation.additions if each.finding == "adds nothing")
    assert str(nothing).startswith("Pictures add nothing that texts do not say (D²")
    assert -MARGIN < nothing.gain.low <= nothing.gain.high < MARGIN
    helps = next(each for each in ablation.additions if each.finding == "helps")
    assert str(helps).startswith("Texts add to pictures (D² +")
    assert helps.gain.low > 0


def test_a_gain_is_the_difference_of_d2(world: Any, plant: Any) -> None:
    plant("bert", world.like(0.5))
    plant("bert+count", world.like(0.9))
    entries, _ = choose([], world.folder / "runs")
    (addition,) = found(world)[0].additions
    large, small = (entries[place].scores["d2"] for place in (addition.large, addition.small))
    assert addition.gain.mean == pytest.approx(large - small)
    assert (addition.added, addition.to) == ("statistics", "texts")


def test_noise_hurts_and_few_posts_cannot_tell(world: Any, plant: Any) -> None:
    good = world.like(0.8)
    plant("bert", good)
    plant("eff+bert", world.noise())
    plant("bert+count", np.clip(good * world.random.lognormal(0, 0.3, world.n), 1e-4, 1))
    findings = told(found(world)[0])
    assert findings[("texts", "pictures")] == "hurts"
    assert findings[("texts", "statistics")] == "unproven"


def test_a_gain_within_luck_is_not_claimed(world: Any, plant: Any) -> None:
    good = world.like(0.8)
    plant("bert", np.clip(good * world.random.lognormal(0, 0.22, world.n), 1e-4, 1))
    plant("eff+bert", np.clip(good * world.random.lognormal(0, 0.2, world.n), 1e-4, 1))
    (addition,) = found(world)[0].additions
    assert addition.gain.low < 0 < addition.gain.mean
    assert addition.finding == "unproven"
    assert str(addition).startswith("Whether pictures add to texts, these posts cannot tell (D² +")


def test_only_the_next_larger_set_is_compared(world: Any, plant: Any) -> None:
    for features in ("bert", "eff+bert", "eff+bert+count"):
        plant(features, world.like(0.5))
    assert set(told(found(world)[0])) == {("texts", "pictures"), ("pictures + texts", "statistics")}


def test_a_second_encoder_of_one_modality_is_called_by_its_name(world: Any, plant: Any) -> None:
    plant("bert", world.like(0.5))
    plant("bert+glove", world.like(0.6))
    plant("unknown", world.like(0.6))
    plant("eff+unknown", world.like(0.6))
    assert set(told(found(world)[0])) == {("bert", "glove"), ("unknown", "pictures")}


def test_other_models_losses_and_samplers_are_not_mixed(world: Any, plant: Any) -> None:
    plant("bert", world.like(0.5))
    plant("eff+bert", world.like(0.6), model="lgbm")
    plant("eff+bert", world.like(0.6), loss="mse")
    plant("eff+bert", world.like(0.6), oversample="smoter")
    plant("eff+bert", world.like(0.6), settings={"alphas": 3})
    assert found(world) == []


def test_intervals_are_wider_where_more_is_asked(world: Any, plant: Any) -> None:
    plant("bert", world.like(0.5))
    plant("eff+bert", world.like(0.6))
    (alone,) = found(world)[0].additions
    for loss in ("mse", "binomial"):
        plant("bert", world.like(0.5), loss=loss)
        plant("eff+bert", world.like(0.6), loss=loss)
    among = next(a for a in found(world) if a.model.endswith("bce")).additions[0]
    assert among.gain.mean == pytest.approx(alone.gain.mean)
    assert among.gain.high - among.gain.low > 1.1 * (alone.gain.high - alone.gain.low)
