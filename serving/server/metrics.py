"""What Prometheus is told, under the names that tensorflow_model_server uses.

After `tensorflow_serving/servables/tensorflow/util.cc`, `batching/batching_session.cc` and
`util/prometheus_exporter.cc`: times are in microseconds, and a counter's name has no `_total`.
"""

from collections.abc import Callable, Collection

import grpc
from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain"
UNKNOWN_MODEL = "unknown"
"""Stands for all names that are no model's: each label value costs memory for good."""
_MICROSECONDS = 1e6
_COUNT = ":tensorflow:serving:request_count"
_LOGGED = ":tensorflow:serving:request_log_count"
_LATENCY = ":tensorflow:serving:request_latency"


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
            # Scale of 10, power of 1.8, 33 buckets.
            buckets=[10 * 1.8**power for power in range(33)],
            registry=self._registry,
        )

    def observe(
        self, model: str, api: str, entrypoint: str, code: grpc.StatusCode, seconds: float
    ) -> None:
        """Counts a request that has been answered; the time of failed ones is not kept.

        Args:
          model: name as the client gave it.
          api: as in `predict` (REST) or `Predict` (gRPC).
          entrypoint: `REST` or `GRPC`.
        """
        if model not in self._model_names():
            model = UNKNOWN_MODEL
        self._requests.labels(model, code.name).inc()
        if code is grpc.StatusCode.OK:
            self._latency.labels(model, api, entrypoint).observe(seconds * _MICROSECONDS)

    def observe_log(self, model: str, code: grpc.StatusCode) -> None:
        """Counts a request that was to be logged.

        Args:
          code: OK if it is in the file, RESOURCE_EXHAUSTED if it was dropped, or why it could not
            be written.
        """
        self._logged.labels(model, code.name).inc()

    def text(self) -> bytes:
        """The page that Prometheus reads."""
        lines = generate_latest(self._registry).decode().splitlines(keepends=True)
        # When a histogram was made is an OpenMetrics sample; the real server has none.
        kept = "".join(line for line in lines if f"{_LATENCY}_created" not in line.split("{")[0])
        for name in (_COUNT, _LOGGED):
            kept = kept.replace(f"# TYPE {name} gauge", f"# TYPE {name} counter")
        return kept.encode()
