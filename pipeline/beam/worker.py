"""A worker of Beam's in this environment: what a runner starts for the environment PROCESS.

    python -m pipeline.beam.worker --id=ID --provision_endpoint=HOST:PORT

It does what the boot program of Beam's own images does (sdks/python/container/boot.go), but
installs nothing: it asks the runner for the job's options, and goes on as `sdk_worker_main`. Beam's
worker pool, which starts workers for the environment EXTERNAL, can start this one too; by itself it
would leave the options out, and with them `--beam_plugins`.
"""

import argparse
import os

import grpc
from apache_beam.portability.api import (
    beam_provision_api_pb2,
    beam_provision_api_pb2_grpc,
    endpoints_pb2,
)
from google.protobuf import json_format, text_format

_SECONDS = 60


def main() -> None:
    """Serves a runner until it lets go."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--id", required=True)
    parser.add_argument("--provision_endpoint", required=True)
    # Only some runners give these; what is provisioned names them all.
    parser.add_argument("--logging_endpoint", default="")
    parser.add_argument("--control_endpoint", default="")
    arguments, _ = parser.parse_known_args()
    # Prism quotes it, though no shell is between.
    worker_id = arguments.id.strip("'")
    info = _provisioned(arguments.provision_endpoint, worker_id)
    logging = arguments.logging_endpoint or info.logging_endpoint.url
    control = arguments.control_endpoint or info.control_endpoint.url
    os.environ |= {
        "WORKER_ID": worker_id,
        "PIPELINE_OPTIONS": json_format.MessageToJson(info.pipeline_options),
        "LOGGING_API_SERVICE_DESCRIPTOR": _described(logging),
        "CONTROL_API_SERVICE_DESCRIPTOR": _described(control),
        "RUNNER_CAPABILITIES": " ".join(info.runner_capabilities),
    }
    if info.HasField("status_endpoint"):
        os.environ["STATUS_API_SERVICE_DESCRIPTOR"] = _described(info.status_endpoint.url)
    # It reads the worker's id when it is imported.
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main([])


def _provisioned(endpoint: str, worker_id: str) -> beam_provision_api_pb2.ProvisionInfo:
    with grpc.insecure_channel(endpoint) as channel:
        service = beam_provision_api_pb2_grpc.ProvisionServiceStub(channel)
        request = beam_provision_api_pb2.GetProvisionInfoRequest()
        answer = service.GetProvisionInfo(
            request,
            timeout=_SECONDS,
            wait_for_ready=True,
            metadata=[("worker_id", worker_id)],
        )
    return answer.info


def _described(url: str) -> str:
    return text_format.MessageToString(endpoints_pb2.ApiServiceDescriptor(url=url))


if __name__ == "__main__":
    main()
