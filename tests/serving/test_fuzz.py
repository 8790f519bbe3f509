"""Random requests, from the benchmark's own generators."""

import pytest

from benchmarks import serving_fuzz

COUNT = 300


@pytest.fixture(scope="module", params=["REST", "gRPC"])
def outcome(request, serving, models):
    if request.param == "REST":
        address = serving.rest_url.removeprefix("http://")
        return serving_fuzz.fuzz_rest(address, COUNT, 1, models.WIDTH)
    return serving_fuzz.fuzz_grpc(serving.grpc_address, COUNT, 1, models.WIDTH)


def test_no_random_request_is_a_fault_of_the_server(outcome):
    assert outcome.faults == []


def test_good_ones_are_answered_and_spoilt_ones_are_mostly_refused(outcome):
    answered = {kind: 0 for kind, _ in outcome.counts}
    refused = dict(answered)
    for (kind, code), count in outcome.counts.items():
        (answered if code in ("200", "OK") else refused)[kind] += count
    assert not refused["good"]
    assert sum(answered.values()) > COUNT / 5 and sum(refused.values()) > COUNT / 5
    assert sum(answered.values()) + sum(refused.values()) == COUNT


def test_a_seed_always_makes_the_same_requests():
    for make in (serving_fuzz.rest_request, serving_fuzz.rpc_request):
        first, again, other = ([make(n, seed, 8) for n in range(40)] for seed in (1, 1, 2))
        assert first == again != other
