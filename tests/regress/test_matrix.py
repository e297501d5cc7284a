"""The square of pairs: one run against another is the reverse of that other against it; colour where it is settled."""

from hypothesis import given
from hypothesis import strategies as st

from regress.inference import Difference
from regress.matrix import rows
from regress.standing import Pair

numbers = st.floats(-1, 1)


@given(st.lists(st.tuples(numbers, st.floats(0, 1), st.one_of(st.none(), st.floats(0, 1))), min_size=3, max_size=3))
def test_a_row_against_a_column_is_the_reverse_of_the_column_against_the_row(
    drawn: list[tuple[float, float, float | None]],
) -> None:
    places = [(0, 1), (0, 2), (1, 2)]
    pairs = [Pair(a, b, Difference(d, d - w, d + w), p) for (a, b), (d, w, p) in zip(places, drawn, strict=True)]
    table = rows(pairs, 3)
    opposite = {"better": "worse", "worse": "better", "open": "open"}
    for a in range(3):
        assert table[a][a] is None
        for b in set(range(3)) - {a}:
            there, back = table[a][b], table[b][a]
            assert there is not None
            assert back is not None
            assert (there.log_loss.mean, there.log_loss.low) == (-back.log_loss.mean, -back.log_loss.high)
            assert there.p == back.p
            assert there.log_loss.mean == 0 or there.side == opposite[back.side]


def side(mean: float, low: float, high: float, p: float | None) -> str:
    cell = rows([Pair(0, 1, Difference(mean, low, high), p)], 2)[0][1]
    assert cell is not None
    return cell.side


def test_folds_decide_and_the_interval_where_there_are_none() -> None:
    assert side(-0.1, -0.2, -0.01, 0.01) == "better"
    assert side(0.1, 0.01, 0.2, 0.01) == "worse"
    assert side(-0.1, -0.2, -0.01, 0.06) == "open"
    assert side(-0.1, -0.2, -0.01, None) == "better"
    assert side(0.1, -0.01, 0.2, None) == "open"


def test_one_run_has_no_pairs() -> None:
    assert rows([], 1) == []
