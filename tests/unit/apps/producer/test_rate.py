from kraftd_apps.producer.rate import RateLimit


class Clock:
    now_s = 100.0

    def __call__(self):
        return self.now_s


def taken(limit, times):
    return sum(limit.take(1) for _ in range(times))


def test_a_seconds_worth_is_taken_at_once_and_then_as_time_goes_on():
    clock = Clock()
    limit = RateLimit(10, clock)
    assert taken(limit, 100) == 10
    clock.now_s += 0.55
    assert taken(limit, 100) == 5
    clock.now_s += 60
    assert taken(limit, 100) == 10


def test_a_batch_larger_than_the_bucket_is_taken_and_waited_for_afterwards():
    clock = Clock()
    limit = RateLimit(10, clock)
    assert limit.take(30)
    clock.now_s += 1.9
    assert not limit.take(1)
    clock.now_s += 0.3
    assert limit.take(1)


def test_without_a_limit_everything_is_taken():
    assert taken(RateLimit(0), 10_000) == 10_000
