from collections import Counter

import pytest

from bench.keys import Keys, draws

RECORDS = 10_000
COUNT = 50_000


@pytest.mark.parametrize("keys", Keys)
def test_same_seed_same_draws(keys: Keys) -> None:
    """Equal seeds give equal draws, and different seeds different ones."""
    assert draws(keys, RECORDS, 1_000, seed=3) == draws(keys, RECORDS, 1_000, seed=3)
    assert draws(keys, RECORDS, 1_000, seed=3) != draws(keys, RECORDS, 1_000, seed=4)


def test_uniform_draws_prefer_no_record() -> None:
    """With uniform keys no record occurs much more often than its share."""
    counts = Counter(draws(Keys.UNIFORM, RECORDS, COUNT, seed=1))
    assert max(counts.values()) < 25
    assert len(counts) > 0.99 * RECORDS


def test_zipf_draws_follow_the_law() -> None:
    """With Zipf keys the n-th most popular record gets 1/n**0.99 of the first one's requests."""
    counts = [count for _, count in Counter(draws(Keys.ZIPF, RECORDS, COUNT, 1)).most_common()]
    harmonic = sum(rank**-0.99 for rank in range(1, RECORDS + 1))
    for rank in (1, 2, 10, 100):
        expected = COUNT * rank**-0.99 / harmonic
        assert counts[rank - 1] == pytest.approx(expected, rel=0.25), rank


def test_popular_records_lie_anywhere() -> None:
    """The popular records are spread over all records."""
    popular = [place for place, _ in Counter(draws(Keys.ZIPF, RECORDS, COUNT, 1)).most_common(100)]
    assert 0.35 * RECORDS < sum(popular) / len(popular) < 0.65 * RECORDS
