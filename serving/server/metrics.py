"""What Prometheus is told, under the names that tensorflow_model_server uses.

After `tensorflow_serving/servables/tensorflow/util.cc`, `batching/batching_session.cc` and
`util/prometheus_exporter.cc`: times are in microseconds, and a counter's name has no `_total`.
"""

from collections.abc import Callable, Collection, Sequence

import grpc
from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain"
UNKNOWN_MODEL = "unknown"
"""Stands for all names that are no model's: each label value costs memory for good."""
_MICROSECONDS = 1e6
_COUNT = ":tensorflow:serving:request_count"
_LOGGED = ":tensorflow:serving:request_log_count"
_LATENCY = ":tensorflow:serving:request_latency"
_RUNTIME = ":tensorflow:serving:runtime_latency"
_QUEUING = ":tensorflow:serving:batching_session:queuing_latency"
_BATCHES = ":tensorflow:serving:batching_session:wrapped_run_count"
_COUNTERS = (_COUNT, _LOGGED, _BATCHES)
# Scale of 10, power of 1.8, 33 buckets; scale of 100, power of 1.2, 52 buckets.
_REQUEST_BUCKETS = tuple(10 * 1.8**power for power in range(33))
_QUEUING_BUCKETS = tuple(100 * 1.2**power for power in range(52))


class Metrics:
    """The counters and histograms of one server.

    Args:
      model_names: gives the names of the models that are served.

    Example:
      metrics = Metrics(core.model_names)
      metrics.observe("dexmatch", "predict", "REST", grpc.StatusCode.OK, 0.012)
      metrics.text()
    """

    def __init__(self, model_names: Callable[[], Collection[str]]):
        self._model_names = model_names
        self._registry = CollectorRegistry()
        # prometheus-client's own counters end in _total.
        self._requests = Gauge(
            _COUNT,
            "The total number of requests.",
            ["model_name", "status"],
            registry=self._registry,
        )
        self._logged = Gauge(
            _LOGGED,
            "The total number of requests logged from the model server sliced down by model_name "
            "and status code.",
            ["model_name", "status_code"],
            registry=self._registry,
        )
        self._latency = Histogram(
            _LATENCY,
            "Distribution of wall time (in microseconds) for Tensorflow Serving request.",
            ["model_name", "API", "entrypoint"],
            buckets=_REQUEST_BUCKETS,
            registry=self._registry,
        )
        self._runtime = Histogram(
            _RUNTIME,
            "Distribution of wall time (in microseconds) for Tensorflow runtime.",
            ["model_name", "API", "runtime"],
            buckets=_REQUEST_BUCKETS,
            registry=self._registry,
        )
        self._queuing = Histogram(
            _QUEUING,
            "Distribution of wall time spent (in microseconds) in queuing",
            ["thread_pool_name"],
            buckets=_QUEUING_BUCKETS,
            registry=self._registry,
        )
        self._batches = Gauge(
            _BATCHES, "Total count of run calls on the wrapped session", registry=self._registry
        )

    def observe(
        self, model: str, api: str, entrypoint: str, code: grpc.StatusCode, seconds: float
    ) -> None:
        """Counts a request that has been answered; the time of failed ones is not kept.

        Args:
          model: name as the client gave it; empty if it asked about none.
          api: as in `predict` (REST) or `Predict` (gRPC); empty for what is no inference.
          entrypoint: `REST` or `GRPC`.
        """
        if model and model not in self._model_names():
            model = UNKNOWN_MODEL
        self._requests.labels(model, code.name).inc()
        if code is grpc.StatusCode.OK:
            self._latency.labels(model, api, entrypoint).observe(seconds * _MICROSECONDS)

    def observe_run(self, model: str, seconds: float) -> None:
        """Keeps how long the model took for a request, with its time in the queue of batches."""
        # The runtime that the real server names for a model like ours.
        self._runtime.labels(model, "Predict", "TF1").observe(seconds * _MICROSECONDS)

    def observe_batch(self, pool: str, waited: Sequence[float]) -> None:
        """Counts a batch.

        Args:
          pool: name of the threads that run batches.
          waited: seconds that each of its requests was in the queue.
        """
        self._batches.inc()
        for seconds in waited:
            self._queuing.labels(pool).observe(seconds * _MICROSECONDS)

    def observe_log(self, model: str, code: grpc.StatusCode) -> None:
        """Counts a request that was to be logged.

        Args:
          code: OK if it is in the file, RESOURCE_EXHAUSTED if it was dropped, or why it could not
            be written.
        """
        self._logged.labels(model, code.name).inc()

    def count(self, name: str) -> int:
        """The first value of a counter, as a reload's answer tells it; 0 for what is none.

        Args:
          name: as in `/tensorflow/serving/request_count`.
        """
        shown = name.replace("/", ":")
        for family in self._registry.collect():
            if family.name == shown and shown in _COUNTERS:
                return int(family.samples[0].value) if family.samples else 0
        return 0

    def text(self) -> bytes:
        """The page that Prometheus reads."""
        lines = generate_latest(self._registry).decode().splitlines(keepends=True)
        # When a histogram was made is an OpenMetrics sample; the real server has none.
        kept = "".join(line for line in lines if "_created" not in line.split("{")[0])
        for name in _COUNTERS:
            kept = kept.replace(f"# TYPE {name} gauge", f"# TYPE {name} counter")
        return kept.encode()
